"""A model's answer to one image, taken out of mmengine's data sample.

N: cells; K = 19 localizations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.evaluation.masks import encode_masks, paste_masks
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.rle import Rle
from hpa_mmdet.scoring.truth import TruthImage


@dataclass(frozen=True)  # mmengine would turn a named tuple into a plain one
class ImageOutput:
    """What a metric keeps of an image; small enough to be sent between processes.

    Args:
        image_id: HPA id.
        masks: N run-length masks of the original image; empty where they were not asked for.
        cell_scores: (N,) p(cell).
        localization_scores: (N, K) p(k | cell).
        cell_ids: N values of the label image where the cells were given, else None.
        image_probs: (K,) of the image head, or None.
    """

    image_id: str
    masks: list[Rle]
    cell_scores: NDArray[np.float64]
    localization_scores: NDArray[np.float64]
    cell_ids: tuple[int, ...] | None
    image_probs: NDArray[np.float64] | None

    @property
    def class_scores(self) -> NDArray[np.float64]:
        """(N, K) what a submission ranks: p(cell) * p(k | cell)."""
        return self.cell_scores[:, None] * self.localization_scores


def find_truth(sample: Mapping[str, Any], truth: Mapping[str, TruthImage]) -> TruthImage:
    """Look the truth of a data sample up, by its `hpa_id` or its `img_id`.

    Raises:
        InputError: neither names an image of the truth.
    """
    for key in (sample.get("hpa_id"), sample.get("img_id")):
        if key is not None and str(key) in truth:
            return truth[str(key)]
    for image in truth.values():
        if image.coco_id == sample.get("img_id"):
            return image
    raise InputError(
        "evaluator, ann_file",
        f"no image {sample.get('hpa_id', sample.get('img_id'))}",
        "the images of the data set",
        "give the evaluator the JSON that its data loader reads",
    )


def read_output(sample: Mapping[str, Any], image: TruthImage, *, with_masks: bool) -> ImageOutput:
    """Take what metrics need from a data sample.

    Args:
        sample: with `pred_instances`: `scores` (N,) and, as the model has them,
            `localization_scores` (N, K), `masks` (see `encode_masks`), or `mask_probs` with
            `bboxes` in pixels of the original image, `cell_ids` (N,). Where the cells were
            given, `given_instances.cell_ids` does as well. Also `image_probs` (K,).
        image: its truth, for the size.
        with_masks: whether masks are needed.

    Raises:
        InputError: a score is not a number in [0, 1], or masks are missing or of another
            size.
    """
    found = sample["pred_instances"]
    where = f"prediction of image {image.image_id}"
    cell_scores = _array(found["scores"])
    count = len(cell_scores)
    named = "localization_scores" in found
    localization = _array(found["localization_scores"]) if named else np.ones((count, 1))
    localization = np.broadcast_to(
        localization.reshape(count, -1) if count else localization.reshape(0, NUM_LOCALIZATIONS),
        (count, NUM_LOCALIZATIONS),
    )
    for scores in (cell_scores, localization):
        if not np.all((scores >= 0) & (scores <= 1)):
            raise InputError(where, "a score outside 0 to 1", "0 to 1", "look for NaN in the model")
    image_probs = sample.get("image_probs")
    return ImageOutput(
        image.image_id,
        _masks(found, image, where) if with_masks else [],
        cell_scores,
        np.array(localization, dtype=np.float64),
        _cell_ids(sample, count),
        None if image_probs is None else _array(image_probs),
    )


def _masks(found: Mapping[str, Any], image: TruthImage, where: str) -> list[Rle]:
    shape_hw = (image.height, image.width)
    if "masks" in found:
        return encode_masks(found["masks"], shape_hw, where)
    if "mask_probs" in found:
        return paste_masks(found["mask_probs"], found["bboxes"], shape_hw)
    raise InputError(
        where, "no masks", "masks, or mask_probs and bboxes", "give the model a mask head"
    )


def _cell_ids(sample: Mapping[str, Any], count: int) -> tuple[int, ...] | None:
    for part in ("pred_instances", "given_instances"):
        ids = sample.get(part, {}).get("cell_ids")
        if ids is not None and len(ids) == count:
            return tuple(int(each) for each in _array(ids))
    return None


def _array(values: Any) -> NDArray[np.float64]:
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
