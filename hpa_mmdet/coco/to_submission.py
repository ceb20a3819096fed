"""Annotations as a contest submission: a baseline, and the round trip of a truth file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from hpa_mmdet.coco.index import open_coco
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.io.submission import SubmissionRow, encode_mask, write_submission

Confidence = Literal["one", "share"]


def convert_to_submission(path: Path, out: Path, confidence: Confidence = "one") -> int:
    """Write every label of every cell as a prediction.

    Args:
        path: a COCO JSON.
        out: the submission CSV.
        confidence: `one` gives every prediction 1; `share` gives 1 / number of the cell's
            labels, since a cell that has many by its image is less sure to show each.

    Returns:
        How many images were written.

    Raises:
        InputError: the JSON cannot be read or names an image twice.
    """
    return write_submission(out, _rows(path, confidence))


def _rows(path: Path, confidence: Confidence) -> Iterator[SubmissionRow]:
    for image in open_coco(path).images:
        yield image_to_row(image, confidence)


def image_to_row(image: CocoImage, confidence: Confidence = "one") -> SubmissionRow:
    """Give the row of one image; a cell without labels has no prediction."""
    predictions = []
    for cell in image.cells:
        mask_text = encode_mask(cell.counts)
        score = 1.0 if confidence == "one" else 1.0 / max(1, len(cell.hpa_indices))
        predictions += [(hpa_index, score, mask_text) for hpa_index in cell.hpa_indices]
    height, width = image.shape_hw
    return SubmissionRow(image.hpa_id, width, height, predictions)
