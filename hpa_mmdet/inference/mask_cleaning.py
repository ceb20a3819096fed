"""Found cells made fit to stand beside each other in one image.

A detector finds each cell by itself, so it finds some twice, and masks of neighbours overlap.
h, w: size of a cell's box in pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.masks.overlap import iou_matrix
from hpa_mmdet.masks.runs import runs_of_crop
from hpa_mmdet.predictions.cells import CellPrediction

# a cell of which a surer one holds more than this, or that holds so much of it, is the same cell
_MOST_CONTAINED = 0.5


def suppress_contained(cells: Sequence[CellPrediction]) -> list[CellPrediction]:
    """Drop cells that share more than half of the smaller mask with a surer cell.

    Boxes of neighbours in a crowd overlap as much as those of a cell found twice, so
    suppression by boxes cannot tell the two apart; masks can.

    Args:
        cells: by falling p(cell).
    """
    if not cells:
        return []
    iou = iou_matrix([cell.counts for cell in cells], cells[0].shape_hw)
    areas = np.array([cell.area for cell in cells], np.float64)
    shared = iou / (1 + iou) * (areas[:, None] + areas)
    contained = shared > _MOST_CONTAINED * np.minimum(areas[:, None], areas)
    kept: list[int] = []
    for number in range(len(cells)):
        if not contained[number, kept].any():
            kept.append(number)
    return [cells[number] for number in kept]


class _Cut(NamedTuple):
    """A cell inside its box: where that lies, its pixels (h, w), their distance to its edge."""

    x: int
    y: int
    mask: NDArray[np.bool_]
    depth: NDArray[np.float32]


def separate_cells(cells: Sequence[CellPrediction]) -> list[CellPrediction]:
    """Give each pixel to one cell, and each cell one piece without holes.

    A pixel of two cells goes to the one in which it lies deeper. Cells that lose all of
    their pixels are dropped.
    """
    cuts = [_cut(cell) for cell in cells]
    left = [cut.mask.copy() for cut in cuts]
    for one, other in _pairs_that_meet(cells):
        _share_out(cuts[one], left[one], cuts[other], left[other])
    separated = []
    for cell, cut, mask in zip(cells, cuts, left, strict=True):
        piece = largest_piece(mask)
        if piece.any():
            runs = runs_of_crop(piece, cut.x, cut.y, cell.shape_hw)
            separated.append(
                CellPrediction.of_runs(runs, cell.cell_score, cell.localization_scores)
            )
    return separated


def _cut(cell: CellPrediction) -> _Cut:
    crop = cell.runs.crop()
    mask = np.zeros((crop.shape[0] + 2, crop.shape[1] + 2), np.uint8)
    mask[1:-1, 1:-1] = crop
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3).astype(np.float32)[1:-1, 1:-1]
    x, y = cell.bbox_xywh[:2]
    return _Cut(x, y, mask[1:-1, 1:-1] > 0, depth)


def _pairs_that_meet(cells: Sequence[CellPrediction]) -> list[tuple[int, int]]:
    boxes = np.array([cell.bbox_xyxy for cell in cells]).reshape(-1, 4)
    left, top, right, bottom = boxes.T
    meets = (left[:, None] < right) & (left < right[:, None])
    meets &= (top[:, None] < bottom) & (top < bottom[:, None])
    return [(int(a), int(b)) for a, b in np.argwhere(np.triu(meets, 1))]


def _share_out(
    one: _Cut, one_left: NDArray[np.bool_], other: _Cut, other_left: NDArray[np.bool_]
) -> None:
    """Take pixels that both have from the one in which they lie less deep."""
    x, y = max(one.x, other.x), max(one.y, other.y)
    x_end = min(one.x + one.mask.shape[1], other.x + other.mask.shape[1])
    y_end = min(one.y + one.mask.shape[0], other.y + other.mask.shape[0])
    here, there = (
        (slice(y - cut.y, y_end - cut.y), slice(x - cut.x, x_end - cut.x)) for cut in (one, other)
    )
    both = one.mask[here] & other.mask[there]
    to_other = other.depth[there] > one.depth[here]
    one_left[here] &= ~(both & to_other)
    other_left[there] &= ~(both & ~to_other)


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest piece of a mask (h, w); pixels that meet at corners are apart."""
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), None, 4)
    if count <= 2:
        return mask
    return np.asarray(pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax()))
