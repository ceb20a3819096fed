"""From which score on a cell is called a class: by reviewed cells, else by images' labels.

n: cells of an image; K: classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpa_mmdet.fit.exponents import known_cells
from hpa_mmdet.fit.predictions import BagPrediction
from hpa_mmdet.localizations import NEGATIVE, NUM_LOCALIZATIONS
from hpa_mmdet.scoring.ranking import best_threshold

UNKNOWN = 0.5  # for classes that no image has


@torch.no_grad()
def choose_thresholds(
    branch: Any, bags: Sequence[BagPrediction], reviewed: Sequence[BagPrediction] = ()
) -> NDArray[np.float64]:
    """Give the threshold of highest F1 of each class on what the cells are taken to show.

    Scores that the image and its other cells have weighed are no probabilities, so 0.5 has no
    meaning. Where some reviewed cell shows a class, its threshold is chosen on the reviewed
    cells. Else a cell is taken to show a label of its image if p(k | cell) is at least 0.5 or
    the highest of the image, and Negative if it shows none of them.

    Args:
        branch: a fitted `LocalizationBranch`.
        bags: predictions for images, best for such that the heads did not learn from.
        reviewed: predictions for images with reviewed cells that the heads did not learn from.

    Returns:
        (K,) in 0..1, of the scores that `LocalizationBranch.predict` gives; 0.5 for classes
        that nothing shows.
    """
    filled = [bag for bag in bags if len(bag.cells)]
    if not filled:
        return np.full(NUM_LOCALIZATIONS, UNKNOWN)
    shown = torch.cat([_taken_to_show(bag.cells, bag.image_labels > 0.5) for bag in filled])
    chosen = _best(shown.numpy(), _weighed(branch, filled))
    truth = known_cells(reviewed)
    if truth is not None:
        labels, rows = truth[0][truth[1]], torch.from_numpy(truth[1])
        chosen = np.where(labels.any(0), _best(labels, _weighed(branch, reviewed)[rows]), chosen)
    return np.where(np.isfinite(chosen), chosen, UNKNOWN).clip(0, 1)


def _weighed(branch: Any, bags: Sequence[BagPrediction]) -> Tensor:
    return torch.cat([branch.weigh(bag.cells, bag.image, *branch.exponents()) for bag in bags])


def _best(shown: NDArray[np.bool_], scores: Tensor) -> NDArray[np.float64]:
    columns = zip(shown.T, scores.double().numpy().T, strict=True)
    return np.array([best_threshold(*column) for column in columns])


def _taken_to_show(probs: Tensor, labels: Tensor) -> Tensor:
    """(n, K) bool of the cells of one image from their (n, K) and its (K,) labels."""
    likely = (probs >= 0.5) | (probs == probs.amax(0))
    shown = likely & labels
    shown[:, NEGATIVE] = ~shown[:, :NEGATIVE].any(1)
    return shown
