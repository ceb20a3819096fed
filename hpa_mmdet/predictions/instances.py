"""Cells taken out of a model's answer, in whatever form it gives their masks.

N: cells; K = 19; m: side of a predicted mask; H, W: height and width of the whole image.
Tensors are known by their methods, so that this needs no torch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.paste import paste_masks
from hpa_mmdet.masks.runs import MaskRuns, runs_from_counts, runs_of_crop
from hpa_mmdet.predictions.cells import CellPrediction

Floats = NDArray[np.float32]
_ROUNDING = 1e-3  # half precision may leave a probability this far outside of 0 to 1


def read_instances(
    instances: Any,
    shape_hw: tuple[int, int],
    where: str,
    *,
    with_masks: bool = True,
    to_image: Callable[[Floats, Floats], tuple[Floats, Floats]] | None = None,
) -> list[CellPrediction]:
    """Make cells of mmdet's `pred_instances`.

    Args:
        instances: InstanceData or a dict: `scores` (N,), and as the model has them
            `localization_scores` (N, K), `cell_ids` (N,), and masks: `mask_probs` (N, m, m)
            or (N, 1, m, m), each stretched over its box of `bboxes` (N, 4), or `masks` of
            the whole image: RLE dicts, (N, H, W) in which what is not 0 is the cell, or
            mmdet's BitmapMasks.
        shape_hw: height and width of the whole image.
        where: what an error names.
        with_masks: False leaves the masks without pixels.
        to_image: brings boxes and `mask_probs` to the whole image.

    Raises:
        InputError: a number is not finite, a probability not in 0 to 1, or masks are
            missing or of another size than the image.
    """
    scores = to_numpy(instances["scores"])
    localization = _localization_scores(instances, len(scores), where)
    _check_probabilities(scores, where)
    _check_probabilities(localization, where)
    ids = to_numpy(instances["cell_ids"]) if "cell_ids" in instances else None
    cell_ids = [None] * len(scores) if ids is None else [int(cell_id) for cell_id in ids]
    masks = (
        read_masks(instances, shape_hw, where, to_image)
        if with_masks
        else [no_pixels(shape_hw)] * len(scores)
    )
    return [
        CellPrediction.of_runs(runs, float(score), row, cell_id)
        for runs, score, row, cell_id in zip(masks, scores, localization, cell_ids, strict=True)
    ]


def no_pixels(shape_hw: tuple[int, int]) -> MaskRuns:
    """Give a mask without pixels."""
    nothing = np.zeros(0, np.int64)
    return MaskRuns(nothing, nothing, shape_hw)


def read_masks(
    instances: Any,
    shape_hw: tuple[int, int],
    where: str,
    to_image: Callable[[Floats, Floats], tuple[Floats, Floats]] | None = None,
) -> list[MaskRuns]:
    """Read the masks of instances as runs; see `read_instances`.

    Raises:
        InputError: as `read_instances`.
    """
    if "masks" in instances:
        return _whole_masks(instances["masks"], shape_hw, where)
    if "mask_probs" not in instances:
        raise InputError(
            where, "no masks", "masks, or mask_probs and bboxes", "give the model a mask head"
        )
    probs = to_numpy(instances["mask_probs"])
    probs = probs.reshape(len(probs), *probs.shape[-2:])
    boxes = to_numpy(instances["bboxes"])
    for numbers in (probs, boxes):
        _check_finite(numbers, where)
    if to_image is not None:
        boxes, probs = to_image(boxes, probs)
    return paste_masks(probs, boxes, shape_hw)


def to_numpy(values: Any) -> Floats:
    """Bring a tensor, an array, or mmdet's boxes to float32."""
    values = getattr(values, "tensor", values)
    if hasattr(values, "detach"):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=np.float32)


def _localization_scores(instances: Any, count: int, where: str) -> Floats:
    if "localization_scores" not in instances:  # a detector of cells alone
        return np.ones((count, NUM_LOCALIZATIONS), np.float32)
    scores = to_numpy(instances["localization_scores"])
    if scores.shape != (count, NUM_LOCALIZATIONS):
        raise InputError(
            where,
            f"localization_scores of shape {scores.shape}",
            f"({count}, {NUM_LOCALIZATIONS})",
            "train the model with 19 classes",
        )
    return scores


def _check_probabilities(values: Floats, where: str) -> None:
    _check_finite(values, where)
    if values.size and not (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):
        raise InputError(where, "a score outside 0 to 1", "0 to 1", "look for NaN in the model")


def _check_finite(values: Floats, where: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(
            where,
            problem="the model gave a score, box or mask that is not a finite number",
            remedy="look for a broken checkpoint or pixels, or run without --amp",
        )


def _whole_masks(masks: Any, shape_hw: tuple[int, int], where: str) -> list[MaskRuns]:
    if hasattr(masks, "crops"):  # CellMasks of datasets: the pixels in the boxes alone
        _check_shape((masks.height, masks.width), shape_hw, where)
        pairs = zip(masks.crops, masks.corners, strict=True)
        return [runs_of_crop(crop != 0, x, y, shape_hw) for crop, (x, y) in pairs]
    if isinstance(masks, list | tuple) and (not masks or isinstance(masks[0], dict)):
        return [_decoded(rle, shape_hw, where) for rle in masks]
    pixels = getattr(masks, "masks", masks)
    if hasattr(pixels, "detach"):
        pixels = pixels.detach().cpu().numpy()
    return [_dense(mask, shape_hw, where) for mask in np.asarray(pixels)]


def _decoded(rle: Any, shape_hw: tuple[int, int], where: str) -> MaskRuns:
    _check_shape(rle["size"], shape_hw, where)
    return runs_from_counts(rle["counts"], shape_hw, where)


def _dense(mask: NDArray[Any], shape_hw: tuple[int, int], where: str) -> MaskRuns:
    _check_shape(mask.shape, shape_hw, where)
    return runs_of_crop(mask != 0, 0, 0, shape_hw)


def _check_shape(found: Sequence[int], shape_hw: tuple[int, int], where: str) -> None:
    if tuple(found) != tuple(shape_hw):
        raise InputError(
            where,
            f"masks of {tuple(found)}",
            f"{tuple(shape_hw)} (height, width) as the image",
            "give masks at the size of the original image",
        )
