"""Which cells and names of a submission are drawn."""

import numpy as np
from pycocotools import mask as coco_mask

from hpa_mmdet.io.submission import SubmissionRow, encode_mask
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.drawing import draw_called
from hpa_mmdet.predictions.submission_rows import prediction_of_row


def mask_at(column: int) -> str:
    mask = np.zeros((20, 60), np.uint8, order="F")
    mask[5:15, column : column + 9] = 1
    return encode_mask(coco_mask.encode(mask)["counts"])


def test_a_cell_that_probably_shows_nothing_is_not_drawn() -> None:
    likely, joint, unlikely = mask_at(0), mask_at(20), mask_at(40)
    row = SubmissionRow(
        "a",
        60,
        20,
        [
            (0, 0.9, likely),
            (4, 0.1, likely),
            (0, 0.3, joint),
            (1, 0.3, joint),
            (2, 0.1, joint),
            (18, 0.1, joint),
            (7, 0.3, unlikely),
            (8, 0.2, unlikely),
        ],
    )
    names = [cell.lines for cell in draw_called(prediction_of_row(row), CallRules((0.4,) * 19))]
    assert len(names) == 2
    assert len(names[0]) == 1  # 0.1 is too little to be named
    assert len(names[1]) == 2
