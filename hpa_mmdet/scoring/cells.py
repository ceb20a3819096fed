"""How well given cells are named: classification of cells whose masks are known.

N: cells of all images; K = 19 localizations.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.scoring.matching import NO_MATCH, match_masks
from hpa_mmdet.scoring.ranking import best_threshold, f1_scores
from hpa_mmdet.scoring.resampling import (
    Estimate,
    class_average_precisions,
    mean_of_known,
    resample_images,
    with_range,
)
from hpa_mmdet.scoring.truth import TruthImage

FOLDS = 5
UNTUNED_THRESHOLD = 0.5
"""Threshold of a class that nothing tells a better one of."""


@dataclass(frozen=True)
class ScoredCells:
    """Cells of all images, row by row.

    Args:
        scores: (N, K), 0 where the cell was not found.
        truth: (N, K) bool.
        images: (N,) number of the image that each cell is in.
        found: (N,) bool, whether a prediction belongs to the cell.
    """

    scores: NDArray[np.float64]
    truth: NDArray[np.bool_]
    images: NDArray[np.intp]
    found: NDArray[np.bool_]


@dataclass(frozen=True)
class CellResult:
    """Scores of named cells.

    Args:
        mean_ap: mean over the classes that any cell shows.
        macro_f1: mean of F1 over these classes, thresholds tuned on other images.
        frequency_ap: the mean that constant scores get, each class's frequency.
        ap: (K,) NaN where no cell shows the class.
        f1: (K,)
        thresholds: (K,) of highest F1 on all the cells, for use on new images.
        cells: (K,) how many cells show each class.
        called: (N, K) bool, the calls behind `f1`.
    """

    mean_ap: Estimate
    macro_f1: Estimate
    frequency_ap: float
    ap: NDArray[np.float64]
    f1: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    cells: NDArray[np.intp]
    called: NDArray[np.bool_]


class CellCollector:
    """Collects the scores of true cells, image by image."""

    def __init__(self) -> None:
        self._scores: list[NDArray[np.float64]] = []
        self._truth: list[NDArray[np.bool_]] = []
        self._found: list[NDArray[np.bool_]] = []

    def add(
        self, truth: TruthImage, class_scores: NDArray[np.float64], mask_of_cell: NDArray[np.intp]
    ) -> None:
        """Add one image.

        Args:
            truth: the image's N cells.
            class_scores: (U, K) of the predicted masks.
            mask_of_cell: (N,) which of them each cell has, `NO_MATCH` for none.
        """
        found = mask_of_cell != NO_MATCH
        scores = np.zeros((len(found), NUM_LOCALIZATIONS))
        scores[found] = class_scores[mask_of_cell[found]]
        self._scores.append(scores)
        self._truth.append(truth.localizations)
        self._found.append(found)

    def add_overlaps(
        self,
        truth: TruthImage,
        class_scores: NDArray[np.float64],
        iou: NDArray[np.float64],
        threshold: float,
    ) -> None:
        """Add one image whose masks are paired with its cells by their overlap (U, N)."""
        self.add(truth, class_scores, match_masks(iou, threshold))

    def table(self) -> ScoredCells:
        """Give what was collected."""
        wide = np.empty((0, NUM_LOCALIZATIONS))
        sizes = [len(found) for found in self._found]
        return ScoredCells(
            np.concatenate([wide, *self._scores]),
            np.concatenate([wide.astype(bool), *self._truth]),
            np.repeat(np.arange(len(sizes)), sizes),
            np.concatenate([np.empty(0, bool), *self._found]),
        )


def score_cells(table: ScoredCells, *, resamples: int, seed: int = 0) -> CellResult:
    """Score named cells.

    Args:
        table: the cells.
        resamples: of the images, with replacement, for the ranges; 0 for none.
        seed: of the resamples and of the folds.
    """
    truth, scores = table.truth, table.scores
    called = call_cross_fitted(table, seed)
    ap = class_average_precisions(truth, scores)[0]
    f1 = f1_scores(truth, called)[0]
    drawn_ap: list[float] = []
    drawn_f1: list[float] = []
    for weights in resample_images(table.images, resamples, seed):
        drawn_ap += map(mean_of_known, class_average_precisions(truth, scores, weights))
        drawn_f1 += map(mean_of_known, f1_scores(truth, called, weights))
    return CellResult(
        mean_ap=with_range(mean_of_known(ap), drawn_ap),
        macro_f1=with_range(mean_of_known(f1), drawn_f1),
        frequency_ap=_frequency_ap(truth),
        ap=ap,
        f1=f1,
        thresholds=tune_thresholds(truth, scores),
        cells=truth.sum(axis=0),
        called=called,
    )


def tune_thresholds(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K,) the threshold of highest F1 of each class; infinity where nothing shows it."""
    return np.array([best_threshold(*of_class) for of_class in zip(truth.T, scores.T, strict=True)])


def call_cross_fitted(table: ScoredCells, seed: int = 0) -> NDArray[np.bool_]:
    """Call the classes of each cell, with thresholds tuned on the other folds' images.

    Thresholds tuned on the cells that they are tried on flatter rare classes. With a single
    image there are no others: then they are. A class that no cell of the other folds shows
    is called from `UNTUNED_THRESHOLD` on, as inference does; else a class of one image could not be
    called at all, and the truth itself would not reach F1 = 1. One that no cell shows
    anywhere is not called.

    Returns:
        (N, K) bool; nothing is called in a cell that was not found.
    """
    called = np.zeros(table.truth.shape, dtype=bool)
    images = np.random.default_rng(seed).permutation(np.unique(table.images))
    if len(images) == 0:
        return called
    for fold in np.array_split(images, FOLDS):
        inside = np.isin(table.images, fold)
        outside = ~inside if len(images) > 1 else inside
        truth = table.truth[outside]
        tuned = tune_thresholds(truth, table.scores[outside])
        only_inside = table.truth[inside].any(axis=0) & ~truth.any(axis=0)
        called[inside] = table.scores[inside] >= np.where(only_inside, UNTUNED_THRESHOLD, tuned)
    return called & table.found[:, None]


def _frequency_ap(truth: NDArray[np.bool_]) -> float:
    """What the same scores for every cell get: the mean frequency of the classes shown."""
    shown = truth.any(axis=0)
    return float(truth[:, shown].mean()) if shown.any() else float("nan")
