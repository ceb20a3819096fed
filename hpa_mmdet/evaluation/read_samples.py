"""A model's answer to one image, taken out of mmengine's data sample."""

from collections.abc import Mapping
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.predictions.instances import read_instances, to_numpy
from hpa_mmdet.scoring.truth import TruthImage


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


def read_prediction(
    sample: Mapping[str, Any], image: TruthImage, *, with_masks: bool
) -> ImagePrediction:
    """Take what metrics need from a data sample.

    Args:
        sample: with `pred_instances` (see `read_instances`) and, where the model has an
            image head, `image_probs` (19,). Where the cells were given,
            `given_instances.cell_ids` says which.
        image: its truth, for the size.
        with_masks: whether masks are needed.

    Raises:
        InputError: a score is not a number in [0, 1], or masks are missing or of another
            size.
    """
    found = sample["pred_instances"]
    where = f"prediction of image {image.image_id}"
    given = sample.get("given_instances", {})
    if "cell_ids" not in found and "cell_ids" in given:
        found = {**dict(found), "cell_ids": given["cell_ids"]}
    shape_hw = (image.height, image.width)
    cells = read_instances(found, shape_hw, where, with_masks=with_masks)
    probs = sample.get("image_probs")
    image_probs = None if probs is None else to_numpy(probs)
    return ImagePrediction(image.image_id, image.width, image.height, cells, image_probs)
