"""One cell out of several opinions: matched by overlap, scores averaged, masks by vote.

S: sources (turns of an image, models, submissions); K = 19.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from hpa_mmdet.masks.runs import MaskRuns

MATCH_IOU = 0.5
Scores = NDArray[np.float32]


class FoundCell(NamedTuple):
    """A cell on its way: its mask over the whole image, p(cell), (19,) p(k | cell)."""

    runs: MaskRuns
    cell_score: float
    localization_scores: Scores


def merge_sources(
    sources: Sequence[Sequence[FoundCell]],
    weights: Sequence[float] | None = None,
    match_iou: float = MATCH_IOU,
) -> list[FoundCell]:
    """Match the cells of several sources and average them.

    Cells are taken by falling score; each joins the group whose first cell it overlaps
    most, at `match_iou` or above, if that group has no cell of its source yet, and else
    begins a group. With w the weights and a score of 0 where a source has no such cell:

        p(cell)     = sum of w * p(cell) over all sources / sum of w
        p(k | cell) = sum of w * p(cell) * p(k | cell) / sum of w * p(cell)

    so that their product is the average of the products. A pixel is the cell's where at
    least half of the weight that has the cell says so.

    Args:
        sources: cells of one image, from each source.
        weights: one per source; equal by default.
        match_iou: mask overlap from which on two cells are one.

    Returns:
        One cell per group, in the order in which they began.
    """
    shares = np.ones(len(sources)) if weights is None else np.asarray(weights, np.float64)
    shares = shares / shares.sum()
    cells = [(number, cell) for number, source in enumerate(sources) for cell in source]
    cells.sort(key=lambda each: -each[1].cell_score)  # stable: ties by source, then place
    overlap = iou_matrix([cell.runs for _, cell in cells])
    groups: list[list[int]] = []
    for place, (source, _) in enumerate(cells):
        open_to_it = [
            group
            for group in groups
            if overlap[place, group[0]] >= match_iou
            and all(cells[member][0] != source for member in group)
        ]
        if open_to_it:
            max(open_to_it, key=lambda group: overlap[place, group[0]]).append(place)
        else:
            groups.append([place])
    return [_average([cells[member] for member in group], shares) for group in groups]


def _average(members: list[tuple[int, FoundCell]], shares: NDArray[np.float64]) -> FoundCell:
    own = np.array([shares[source] for source, _ in members])
    weighted = own * [cell.cell_score for _, cell in members]
    runs = vote_runs([cell.runs for _, cell in members], own)
    scores = [cell.localization_scores for _, cell in members]
    return FoundCell(runs, min(float(weighted.sum()), 1.0), weighted_mean(scores, weighted))


def weighted_mean(rows: Sequence[Scores], weights: NDArray[np.float64]) -> Scores:
    """Average rows of scores; weights that are all 0 count as equal."""
    shares = weights if weights.sum() > 0 else np.ones(len(rows))
    mean = np.average(np.asarray(rows, np.float64), axis=0, weights=shares)
    return mean.astype(np.float32)


def vote_runs(
    masks: Sequence[MaskRuns], weights: NDArray[np.float64], share: float = 0.5
) -> MaskRuns:
    """Pixels that at least `share` of the weight calls the cell's; 0 asks for any."""
    if len(masks) == 1:
        return masks[0]
    places = np.concatenate([each.starts for each in masks] + [each.ends for each in masks])
    signed = [np.repeat(weights, [each.starts.size for each in masks])]
    change = np.concatenate([signed[0], -signed[0]])
    order = np.argsort(places, kind="stable")
    places, change = places[order], change[order]
    last = np.append(places[1:] != places[:-1], True) if places.size else places.astype(bool)
    support = np.cumsum(change)[last]
    places = places[last]
    least = share * weights.sum()
    inside = support >= least - 1e-9 if share > 0 else support > 1e-9
    edge = np.flatnonzero(np.diff(np.concatenate(([False], inside)).astype(np.int8)))
    return MaskRuns(places[edge[0::2]], places[edge[1::2]], masks[0].shape_hw)


def union_runs(masks: Sequence[MaskRuns]) -> MaskRuns:
    """Pixels of any of the masks."""
    return vote_runs(masks, np.ones(len(masks)), share=0.0)


def iou_matrix(masks: Sequence[MaskRuns]) -> NDArray[np.float64]:
    """Intersection over union of every pair of masks of one image."""
    if not masks:
        return np.zeros((0, 0))
    rles: list[dict[str, Any]] = [
        {"size": list(each.shape_hw), "counts": each.to_counts().encode("ascii")} for each in masks
    ]
    matrix: NDArray[np.float64] = coco_mask.iou(rles, rles, [0] * len(rles))
    return matrix
