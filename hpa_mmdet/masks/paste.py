"""Paste box-sized mask probabilities straight into runs, without any picture.

Down one column of the image a mask is piecewise linear between the rows of its
probabilities, so the rows where it crosses the threshold follow from a division: per
column some 28 numbers are touched, not the height of the box.

N: cells of an image. m: side of a predicted mask (28). H, W: image height and width.
L: image columns that the boxes cover, all boxes together.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.masks.runs import MaskRuns, merge_runs

MASK_THRESHOLD = 0.5
_Floats = NDArray[np.float64]
_Places = NDArray[np.int64]


def paste_masks(
    mask_probs: NDArray[np.floating],
    boxes_xyxy: NDArray[np.floating],
    shape_hw: tuple[int, int],
) -> list[MaskRuns]:
    """Resize each mask to its box and read its runs.

    A pixel belongs to a cell where the mask, read bilinearly at the pixel's centre and
    falling to zero outside, reaches `MASK_THRESHOLD`: what mmdet's `_do_paste_mask` does on
    a full-size picture.

    Args:
        mask_probs: (N, m, m), 0 to 1.
        boxes_xyxy: (N, 4) in pixels; parts outside the image are cut off.
        shape_hw: height and width of the image.

    Returns:
        One mask per box, in their order; a box without a pixel in the image gives a mask
        without runs.

    Examples:
        >>> pasted = paste_masks(np.ones((1, 28, 28), np.float32), np.array([[1, 0, 3, 2]]), (4, 5))
        >>> pasted[0].bbox_xywh, pasted[0].area
        ((1, 0, 2, 2), 4)
    """
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    columns = _columns_of(boxes, shape_hw)
    probs = _probs_down_columns(mask_probs, boxes, columns)
    starts, ends, line = _rows_inside(probs, boxes, columns, shape_hw)
    offset = columns.x[line] * shape_hw[0]
    starts, ends, cell = starts + offset, ends + offset, columns.cell[line]
    first = np.searchsorted(cell, np.arange(len(boxes) + 1))
    return [MaskRuns(*merge_runs(starts[a:b], ends[a:b]), shape_hw) for a, b in pairwise(first)]


class _Columns(NamedTuple):
    """The image columns under the boxes, box after box: (L,) each."""

    cell: _Places
    x: _Places


def _columns_of(boxes: _Floats, shape_hw: tuple[int, int]) -> _Columns:
    left = np.clip(np.floor(boxes[:, 0]), 0, shape_hw[1]).astype(np.int64)
    right = np.clip(np.ceil(boxes[:, 2]), 0, shape_hw[1]).astype(np.int64)
    with_area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    widths = np.where(with_area, np.maximum(right - left, 0), 0)
    cell = np.repeat(np.arange(len(boxes)), widths)
    before = np.cumsum(widths) - widths
    return _Columns(cell, np.arange(cell.size) - before[cell] + left[cell])


def _probs_down_columns(
    mask_probs: NDArray[np.floating], boxes: _Floats, columns: _Columns
) -> NDArray[np.float32]:
    """(L, m + 2): the masks at the centres of the columns; 0 stands above and below."""
    padded = np.pad(mask_probs, ((0, 0), (1, 1), (1, 1))).astype(np.float32, copy=False)
    by_column = np.ascontiguousarray(padded.transpose(0, 2, 1))
    left, right = boxes[columns.cell, 0], boxes[columns.cell, 2]
    sample = (columns.x + 0.5 - left) * (mask_probs.shape[2] / (right - left)) + 0.5
    sample = np.clip(sample, 0.0, mask_probs.shape[2] + 0.999)
    index = sample.astype(np.int64)
    weight = (sample - index).astype(np.float32)[:, None]
    before, after = by_column[columns.cell, index], by_column[columns.cell, index + 1]
    result: NDArray[np.float32] = before + (after - before) * weight
    return result


def _rows_inside(
    probs: NDArray[np.float32],
    boxes: _Floats,
    columns: _Columns,
    shape_hw: tuple[int, int],
) -> tuple[_Places, _Places, _Places]:
    """First row, row behind the last and column number of each stretch inside a mask."""
    inside = probs >= MASK_THRESHOLD
    crossing = np.flatnonzero(inside[:, 1:] != inside[:, :-1])
    line, sample = np.divmod(crossing, probs.shape[1] - 1)
    below, above = probs[line, sample].astype(np.float64), probs[line, sample + 1]
    part = (MASK_THRESHOLD - below) / (above - below)
    top, bottom = boxes[columns.cell[line], 1], boxes[columns.cell[line], 3]
    # row r has its centre at r + 0.5, padded sample s its own at s - 0.5 of m parts
    row = top + (sample + part - 0.5) * ((bottom - top) / (probs.shape[1] - 2)) - 0.5
    limit = shape_hw[0]
    starts = np.clip(np.ceil(row[0::2]), 0, limit).astype(np.int64)
    ends = np.clip(np.floor(row[1::2]) + 1, 0, limit).astype(np.int64)
    kept = starts < ends
    return starts[kept], ends[kept], line[0::2][kept]
