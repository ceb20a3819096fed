"""How much an image says of its cells, and the learnt Negative: chosen on cells that are known.

n: cells of an image; K: classes.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpa_mmdet.fit.predictions import BagPrediction
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.scoring.resampling import (
    class_average_precisions,
    mean_of_known,
    resample_images,
)

IMAGE_EXPONENTS = (0.0, 0.25, 0.5, 1.0)
CELLS_EXPONENTS = (0.0, 0.5, 1.0, 1.5)
NEGATIVE_SHARES = (0.0, 0.5, 1.0)
_RESAMPLES = 100  # of the images with reviewed cells


@torch.no_grad()
def choose_exponents(
    branch: Any,
    bags: Sequence[BagPrediction],
    image_exponents: Sequence[float] = IMAGE_EXPONENTS,
    cells_exponents: Sequence[float] = CELLS_EXPONENTS,
    by_images: bool = False,
) -> tuple[float, float, float]:
    """Try all pairs and leave the chosen one in `branch.chosen_exponents`.

    The score is the mean over the classes of average precision over cells whose labels are
    known: those that a person reviewed, else those that the data set tells apart. Where there
    are none nothing is changed: exponents chosen by images were worse for cells than the
    defaults (docs/weak_supervision.md).

    Reviewed cells are few, so the best pair may be so by chance: of the pairs that are within one
    standard error of it, the one is chosen that believes the image head least and then the
    image's other cells most.

    Args:
        branch: a fitted `LocalizationBranch`.
        bags: predictions for images that the heads did not learn from.
        image_exponents: candidates for a of `LocalizationBranch.predict`.
        cells_exponents: candidates for b.
        by_images: score images by their highest cell instead, for comparison.

    Returns:
        The chosen a and b, of equal ones the smallest, and their score; NaN where none was
        chosen.

    Source:
        The rule of one standard error: Breiman et al., Classification and regression trees, 1984.
    """
    truth = None if by_images else known_cells(bags)
    if truth is None and not by_images:
        return *branch.exponents(), float("nan")
    pairs = list(product(sorted(image_exponents), sorted(cells_exponents)))
    if truth is None:
        filled = [bag for bag in bags if len(bag.cells)]
        shown = np.array([bag.image_labels.numpy() > 0 for bag in filled])
    else:
        labels, known = truth
        shown, rows = labels[known], torch.from_numpy(known)

    def scores_of(pair: tuple[float, float]) -> Tensor:
        if truth is None:
            return torch.stack([_weighed(branch, bag, *pair).amax(0) for bag in filled])
        return torch.cat([_weighed(branch, bag, *pair) for bag in bags])[rows]

    values = np.array([_score(shown, scores_of(pair)) for pair in pairs])
    if np.isnan(values).all():
        return *branch.exponents(), float("nan")
    chosen = int(np.argmax(values >= np.nanmax(values) - 1e-9))
    if truth is not None and any(bag.reviewed.any() for bag in bags):
        image_of = np.repeat(np.arange(len(bags)), [len(bag.cells) for bag in bags])[known]
        errors = _errors_beside(chosen, shown, [scores_of(pair) for pair in pairs], image_of)
        near = np.flatnonzero(values[chosen] - values <= errors + 1e-9).tolist()
        chosen = min(near, key=lambda place: (pairs[place][0], -pairs[place][1]))
    branch.chosen_exponents.copy_(torch.tensor(pairs[chosen]))
    return *pairs[chosen], float(values[chosen])


def _errors_beside(
    best: int, shown: NDArray[np.bool_], scores: Sequence[Tensor], image_of: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Give the standard error of how far each candidate is behind the best.

    Args:
        best: place of the best.
        shown: (n, K) what cells are known to show.
        scores: (n, K) of each candidate.
        image_of: (n,) image of each cell; resamples are of images.
    """
    weights = np.concatenate(list(resample_images(image_of, _RESAMPLES, seed=0)))
    drawn = np.array(
        [
            np.nanmean(class_average_precisions(shown, rows.double().numpy(), weights), axis=1)
            for rows in scores
        ]
    )
    errors: NDArray[np.float64] = np.nanstd(drawn[best] - drawn, axis=1)
    return errors


def choose_by_training_cells(
    branch: Any, held_out: Sequence[BagPrediction]
) -> tuple[float, float, float]:
    """Choose the learnt Negative and the exponents on reviewed cells of the training set.

    Args:
        branch: a fitted `LocalizationBranch`.
        held_out: predictions for images with reviewed cells, by heads that did not learn from them.

    Returns:
        As `choose_exponents`.
    """
    if branch.negative == "derived":
        choose_negative(branch, held_out)
    return choose_exponents(branch, held_out)


@torch.no_grad()
def choose_negative(branch: Any, bags: Sequence[BagPrediction]) -> float:
    """Leave in `branch.learnt_negative` how much of Negative its own logit says.

    The score is average precision of Negative over reviewed cells, which are the only ones that
    teach it. Without a reviewed cell of either kind the two are mixed half and half.

    Args:
        branch: a fitted `LocalizationBranch` whose Negative is derived.
        bags: predictions for images that the heads did not learn from, with reviewed cells.

    Returns:
        The share of the learnt logit; 0 where no cell is reviewed.
    """
    truth = known_cells(bags)
    if truth is None or not any(bag.reviewed.any() for bag in bags):
        return float(branch.learnt_negative)
    rows = torch.from_numpy(truth[1])
    shown = truth[0][truth[1], NEGATIVE]
    best, chosen = -1.0, 0.5
    if 0 < shown.sum() < len(shown):
        for share in NEGATIVE_SHARES:
            branch.learnt_negative.fill_(share)
            scores = torch.cat([_weighed(branch, bag, 0.0, 0.0) for bag in bags])[rows, NEGATIVE]
            value = _score(shown[:, None], scores[:, None])
            if value > best + 1e-9:
                best, chosen = value, share
    branch.learnt_negative.fill_(chosen)
    return chosen


def known_cells(
    bags: Sequence[BagPrediction],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Give what cells are known to show.

    Returns:
        (N, K) bool labels of all cells and (N,) bool where they are known: the reviewed cells,
        else all cells if some have other labels than their image; None where neither is so.
    """
    if not bags or any(bag.cell_targets is None for bag in bags):
        return None
    targets = torch.cat([_targets(bag) for bag in bags]) > 0.5
    reviewed = torch.cat([bag.reviewed for bag in bags])
    if reviewed.any():
        return targets.numpy(), reviewed.numpy()
    inherited = torch.cat([(bag.image_labels > 0.5).expand(len(bag.cells), -1) for bag in bags])
    if torch.equal(targets, inherited):
        return None
    return targets.numpy(), np.ones(len(targets), np.bool_)


def _targets(bag: BagPrediction) -> Tensor:
    assert bag.cell_targets is not None
    return bag.cell_targets


def _weighed(branch: Any, bag: BagPrediction, a: float, b: float) -> Tensor:
    weighed: Tensor = branch.weigh(bag.cells, bag.image, a, b)
    return weighed.cpu()


def _score(shown: NDArray[np.bool_], scores: Tensor) -> float:
    return mean_of_known(class_average_precisions(shown, scores.double().numpy())[0])
