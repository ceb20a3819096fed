"""One cell out of several opinions: matched by overlap, scores averaged, masks by vote.

S: sources (augmented views of an image, models, submissions); K = 19.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.masks.overlap import iou_matrix, vote_runs
from hpa_mmdet.predictions.cells import CellPrediction

MATCH_IOU = 0.5


def merge_sources(
    sources: Sequence[Sequence[CellPrediction]],
    weights: Sequence[float] | None = None,
    match_iou: float = MATCH_IOU,
) -> list[CellPrediction]:
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
    cells.sort(key=lambda pair: -pair[1].cell_score)  # stable: ties by source, then place
    if not cells:
        return []
    overlap = iou_matrix([cell.counts for _, cell in cells], cells[0][1].shape_hw)
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


def _average(
    members: list[tuple[int, CellPrediction]], shares: NDArray[np.float64]
) -> CellPrediction:
    own = np.array([shares[source] for source, _ in members])
    weighted = own * [cell.cell_score for _, cell in members]
    runs = vote_runs([cell.runs for _, cell in members], own)
    scores = [cell.localization_scores for _, cell in members]
    return CellPrediction.of_runs(runs, float(weighted.sum()), weighted_mean(scores, weighted))


def weighted_mean(
    rows: Sequence[NDArray[np.float32]], weights: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Average rows of scores; weights that are all 0 count as equal."""
    shares = weights if weights.sum() > 0 else np.ones(len(rows))
    mean = np.average(np.asarray(rows, np.float64), axis=0, weights=shares)
    return mean.astype(np.float32)
