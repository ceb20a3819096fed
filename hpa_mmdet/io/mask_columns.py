"""Masks as the stretches of their columns, from which overlaps follow by array arithmetic.

A cell's mask mostly fills one stretch of each column that it touches, a concave one two or
three in some. So a mask is a few strips: its first strip holds the first stretch of every
column of its box, its second the second stretches, over the columns that have one, and so on.

M: masks of one image; S: their strips; H, W: height and width of the image. Axes are (row,
column), ranges half-open.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.io.run_lengths import Runs

_LARGEST_INT16 = 2**15 - 1

Array = NDArray[np.int64]


class MaskColumns(NamedTuple):
    """Several masks of one image.

    Args:
        areas: (M,) pixels of each mask.
        boxes: (4, M) left, right, top, bottom of each mask; 0 for a mask without pixels.
        edges: (M + 1,) where the strips of each mask begin.
        spans: (2, S) first column of each strip and the one after its last.
        starts: (S,) where the columns of each strip begin in `stretches`.
        stretches: (R, 2) first row and minus the row after the last, of each column of each
            strip; (0, 0) where the column has no such stretch. int16 where that is enough.
    """

    areas: Array
    boxes: Array
    edges: Array
    spans: Array
    starts: Array
    stretches: NDArray[np.signedinteger]


class _Stretches(NamedTuple):
    """Stretches of mask pixels inside single columns, by mask, column and row."""

    column: Array
    first_row: Array
    end_row: Array
    owner: Array


def to_columns(runs: Runs, height: int) -> MaskColumns:
    """Cut the runs of masks into the stretches of their columns.

    Args:
        runs: as `decode_runs` gives them, each mask filling its image.
        height: H of the image.

    Examples:
        >>> from hpa_mmdet.io.run_lengths import decode_runs
        >>> corner = decode_runs([b"0210<"])  # rows 0, 1 of columns 0, 1; 3 x 6 pixels
        >>> to_columns(corner, 3).stretches.tolist()
        [[0, -2], [0, -2]]
    """
    count = len(runs.edges) - 1
    found = _find_stretches(runs, height)
    firsts = np.searchsorted(found.owner, np.arange(count + 1))
    areas, boxes = _measure(found, firsts)
    layer = _layers(found.column, firsts)
    edges, spans, strip = _strips(found, layer, boxes)
    width = spans[1] - spans[0]
    starts = np.cumsum(width) - width
    kind = np.int16 if height <= _LARGEST_INT16 else np.int32
    stretches = np.zeros((int(width.sum()), 2), kind)
    place = found.column + (starts - spans[0])[strip]
    stretches[place, 0] = found.first_row
    stretches[place, 1] = -found.end_row
    return MaskColumns(areas, boxes, edges, spans, starts, stretches)


def _find_stretches(runs: Runs, height: int) -> _Stretches:
    pixels = runs.inside + runs.behind
    ends = np.cumsum(pixels)
    rows = np.diff(runs.edges)
    masks_before = ends[runs.edges[:-1]] - pixels[runs.edges[:-1]]
    start = ends - pixels - np.repeat(masks_before, rows)
    some = np.flatnonzero(runs.inside)
    length = runs.inside[some]
    start = start[some]
    column = start // height
    first_row = start - column * height
    end_row = first_row + length
    found = _Stretches(column, first_row, end_row, np.repeat(np.arange(len(rows)), rows)[some])
    return _cut_at_columns(found, height) if np.any(end_row > height) else found


def _cut_at_columns(runs: _Stretches, height: int) -> _Stretches:
    """Cut runs that go on from the foot of a column at the head of the next."""
    parts = (runs.end_row - 1) // height + 1
    which = np.repeat(np.arange(len(parts)), parts)
    further = np.arange(len(which)) - np.repeat(np.cumsum(parts) - parts, parts)
    above = further * height
    return _Stretches(
        runs.column[which] + further,
        np.maximum(runs.first_row[which] - above, 0),
        np.minimum(runs.end_row[which] - above, height),
        runs.owner[which],
    )


def _measure(found: _Stretches, firsts: Array) -> tuple[Array, Array]:
    """Give areas and boxes, from the places where the masks' stretches begin."""
    areas, boxes = np.zeros(len(firsts) - 1, np.int64), np.zeros((4, len(firsts) - 1), np.int64)
    some = np.flatnonzero(np.diff(firsts))
    if some.size:
        at = firsts[some]
        areas[some] = np.add.reduceat(found.end_row - found.first_row, at)
        boxes[0, some] = found.column[at]
        boxes[1, some] = found.column[firsts[some + 1] - 1] + 1
        boxes[2, some] = np.minimum.reduceat(found.first_row, at)
        boxes[3, some] = np.maximum.reduceat(found.end_row, at)
    return areas, boxes


def _layers(column: Array, firsts: Array) -> Array:
    """Count the stretches above each one in its own column and mask."""
    opens = np.ones(len(column) + 1, bool)
    opens[1:-1] = column[1:] != column[:-1]
    opens[firsts] = True
    if opens.all():
        return np.zeros(len(column), np.int64)
    index = np.arange(len(column))
    return index - np.maximum.accumulate(np.where(opens[:-1], index, 0))


def _strips(found: _Stretches, layer: Array, boxes: Array) -> tuple[Array, Array, Array]:
    """Give the strips' edges by mask, their columns, and the strip of each stretch."""
    layers = (boxes[1] > boxes[0]).astype(np.int64)
    lower = np.flatnonzero(layer)
    np.maximum.at(layers, found.owner[lower], layer[lower] + 1)
    edges = np.concatenate(([0], np.cumsum(layers)))
    strip = edges[found.owner] + layer
    spans = np.zeros((2, int(edges[-1])), np.int64)
    spans[:, edges[:-1][layers > 0]] = boxes[:2, layers > 0]
    order = lower[np.argsort(strip[lower], kind="stable")]
    which, first, count = np.unique(strip[order], return_index=True, return_counts=True)
    spans[0, which] = found.column[order[first]]
    spans[1, which] = found.column[order[first + count - 1]] + 1
    return edges, spans, strip
