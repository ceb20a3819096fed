"""Intersection over union of two sets of masks of one image, from their columns.

Pairs whose boxes and areas rule out the least overlap that is asked for are never looked at;
of the others the stretches are compared column by column, all pairs in one pass.

U, T: masks of each set; P: pairs that are looked at. Boxes are (4, M): left, right, top,
bottom.
"""

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.io.mask_columns import MaskColumns

# pairs of masks with more strips than this between them are drawn: noise, not cells
_MOST_STRIP_PAIRS = 16

Array = NDArray[np.int64]
Span = Array | tuple[int, int]


def columns_iou(
    detected: MaskColumns, truth: MaskColumns, least: float = 0.0
) -> NDArray[np.float64]:
    """Compute intersection over union.

    Args:
        detected: U masks.
        truth: T masks of the same image.
        least: overlaps below it may be given as 0, which saves most of the work.

    Returns:
        (U, T) in [0, 1], the same quotients of whole numbers as pycocotools gives. A mask
        without pixels has 0 with all.
    """
    iou = np.zeros((len(detected.areas), len(truth.areas)))
    of_detected, of_truth = _candidates(detected, truth, least)
    if of_detected.size:
        common = _intersections(detected, truth, of_detected, of_truth)
        either = detected.areas[of_detected] + truth.areas[of_truth] - common
        iou[of_detected, of_truth] = common / either
    return iou


def _candidates(detected: MaskColumns, truth: MaskColumns, least: float) -> tuple[Array, Array]:
    """Give the pairs that may overlap by `least`.

    No intersection is larger than that of the boxes or than either mask, and the quotient
    grows with the intersection, so none of the pairs left out reaches `least`.
    """
    ends = np.minimum(detected.boxes[1::2, :, None], truth.boxes[1::2, None, :])
    sides = ends - np.maximum(detected.boxes[::2, :, None], truth.boxes[::2, None, :])
    of_detected, of_truth = np.nonzero((sides[0] > 0) & (sides[1] > 0))
    areas = detected.areas[of_detected], truth.areas[of_truth]
    common = np.minimum(sides[:, of_detected, of_truth].prod(axis=0), np.minimum(*areas))
    possible = common / np.maximum(areas[0] + areas[1] - common, 1) >= least
    return of_detected[possible], of_truth[possible]


def _intersections(detected: MaskColumns, truth: MaskColumns, ones: Array, others: Array) -> Array:
    """Give the pixels that the masks of each of P pairs have in common."""
    common = np.zeros(len(ones), np.int64)
    strip_pairs = np.diff(detected.edges)[ones] * np.diff(truth.edges)[others]
    for pair in np.flatnonzero(strip_pairs > _MOST_STRIP_PAIRS):
        one, other = int(ones[pair]), int(others[pair])
        rows = int(max(detected.boxes[3, one], truth.boxes[3, other]))
        span = _common_span(detected.boxes[:2, one], truth.boxes[:2, other])
        drawn = _draw(detected, one, span, rows) & _draw(truth, other, span, rows)
        common[pair] = np.count_nonzero(drawn)
    few = np.flatnonzero(strip_pairs <= _MOST_STRIP_PAIRS)
    common[few] = _compare_strips(detected, truth, ones[few], others[few])
    return common


def _compare_strips(detected: MaskColumns, truth: MaskColumns, ones: Array, others: Array) -> Array:
    """Add up the common rows of every column of P pairs, each strip against each."""
    parts: list[NDArray[np.signedinteger]] = []
    counterparts: list[NDArray[np.signedinteger]] = []
    pair_of, starts, end = [], [], 0
    edges, other_edges = detected.edges.tolist(), truth.edges.tolist()
    strips = list(zip(detected.starts.tolist(), *detected.spans.tolist(), strict=True))
    other_strips = list(zip(truth.starts.tolist(), *truth.spans.tolist(), strict=True))
    for pair, (one, other) in enumerate(zip(ones.tolist(), others.tolist(), strict=True)):
        for at, left, right in strips[edges[one] : edges[one + 1]]:
            for other_at, other_left, other_right in other_strips[
                other_edges[other] : other_edges[other + 1]
            ]:
                first, stop = max(left, other_left), min(right, other_right)
                if first < stop:
                    parts.append(detected.stretches[at + first - left : at + stop - left])
                    place = other_at + first - other_left
                    counterparts.append(truth.stretches[place : place + stop - first])
                    pair_of.append(pair)
                    starts.append(end)
                    end += stop - first
    if not parts:
        return np.zeros(len(ones), np.int64)
    # rows are (first, -end): the larger of both is (first, -end) of what they have in common
    shared = np.maximum(np.concatenate(parts), np.concatenate(counterparts))
    minus_rows = np.minimum(shared[:, 0] + shared[:, 1], 0)
    sums = np.add.reduceat(minus_rows, starts, dtype=np.int64)
    return -np.bincount(pair_of, sums, len(ones)).astype(np.int64)


def _draw(masks: MaskColumns, which: int, span: tuple[int, int], rows: int) -> NDArray[np.bool_]:
    """Draw the columns `span` of one mask, over so many rows from the top of the image."""
    changes = np.zeros((span[1] - span[0], rows + 1), np.int64)
    for strip in range(masks.edges[which], masks.edges[which + 1]):
        left, right = _common_span(masks.spans[:, strip], span)
        if left < right:
            start = int(masks.starts[strip]) + left - int(masks.spans[0, strip])
            stretches = masks.stretches[start : start + right - left].astype(np.intp)
            columns = np.arange(left - span[0], right - span[0])
            changes[columns, stretches[:, 0]] += 1
            changes[columns, -stretches[:, 1]] -= 1
    return np.cumsum(changes, axis=1) > 0


def _common_span(one: Span, other: Span) -> tuple[int, int]:
    return int(max(one[0], other[0])), int(min(one[1], other[1]))
