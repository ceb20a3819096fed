"""The rules by which an image's labels are assigned to its cells.

N: cells of an image; K = 19 localizations, of which the last is Negative.

A label that the image lacks is never given; at least one cell has each label that it has,
and a cell that has none is Negative. In between there are two ways (`Assignment`):

*share*: a label is expected of a share of the image's cells, which differs by class
(`EXPECTED_SHARE`). The predicted probabilities are moved together, by one offset of their
logits, until their mean is that share. So only the order and the distances of the cells
come from the model, which often is sure of too many or too few.

*probability*: the predicted probabilities as they are.
"""

from collections.abc import Collection, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from hpa_mmdet.localizations import NEGATIVE, NUM_LOCALIZATIONS

# Share of the cells of an image with a label that show it: 5,090 real cells judged by eye.
EXPECTED_SHARE: tuple[float, ...] = (
    0.78, 0.74, 0.64, 0.45, 0.87, 0.39, 0.70, 0.50, 0.79, 0.75,
    0.59, 0.07, 0.24, 0.70, 0.85, 0.68, 0.82, 0.55, 1.00,
)  # fmt: skip
Assignment = Literal["share", "probability"]
ASSIGNMENTS: tuple[Assignment, ...] = ("share", "probability")
_HIGHEST_SHARE = 0.97  # else no cell could be the exception


def assign_labels(
    probs: NDArray[np.floating],
    image_labels: Collection[int],
    shares: Sequence[float] | None = EXPECTED_SHARE,
) -> NDArray[np.float64]:
    """Say how likely each cell shows each class, given the image's labels.

    Args:
        probs: (N, K) p(k | cell) of a model that did not learn from this image.
        image_labels: the image's labels, as hpa_index.
        shares: (K,) share of the cells expected to show a label of their image; None to
            take the probabilities as they are.

    Returns:
        (N, K) in 0..1: 0 for labels that the image lacks, 1 for the likeliest cell of each
        label, Negative as the product of 1 - p over the others.

    Examples:
        >>> probs = np.full((2, 19), 0.5)
        >>> probs[0, 14] = 0.9
        >>> assign_labels(probs, [14])[:, [14, 18]].round(2).tolist()
        [[1.0, 0.0], [0.74, 0.26]]
        >>> assign_labels(probs, [14], shares=None)[:, [14, 18]].tolist()
        [[1.0, 0.0], [0.5, 0.5]]
    """
    count = len(probs)
    assigned = np.zeros((count, NUM_LOCALIZATIONS))
    if count == 0:
        return assigned
    for k in sorted(set(image_labels) - {NEGATIVE}):
        of_class = np.asarray(probs[:, k], dtype=float)
        assigned[:, k] = of_class if shares is None else _move_to_share(of_class, shares[k])
        assigned[of_class.argmax(), k] = 1
    assigned[:, NEGATIVE] = (1 - assigned[:, :NEGATIVE]).prod(1)
    return assigned


def _move_to_share(probs: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    logits = logit(np.clip(probs, 1e-7, 1 - 1e-7))
    share = min(max(share, 1 / len(probs)), _HIGHEST_SHARE)
    moved: NDArray[np.float64] = expit(logits + offset_to_share(logits, share))
    return moved


def harden(assigned: NDArray[np.float64], image_labels: Collection[int]) -> NDArray[np.float64]:
    """Turn what `assign_labels` gave into yes and no.

    Args:
        assigned: (N, K) in 0..1.
        image_labels: the image's labels.

    Returns:
        (N, K) of 0 and 1. Every cell has a label: Negative where it has no other. An image
        labelled Negative has a Negative cell, the one that shows least, unless its other
        labels need all cells.
    """
    hard = (assigned >= 0.5).astype(float)
    hard[:, NEGATIVE] = 0
    if len(hard) and NEGATIVE in image_labels and hard[:, :NEGATIVE].any(1).all():
        highest = assigned[:, :NEGATIVE].max(1)
        if highest.min() < 1:  # no label's likeliest cell
            hard[highest.argmin()] = 0
    hard[:, NEGATIVE] = ~hard[:, :NEGATIVE].any(1)
    return hard


def offset_to_share(logits: NDArray[np.float64], share: float) -> float:
    """Find the offset b at which the mean of sigmoid(logits + b) is the share.

    Args:
        logits: (N,), at least one.
        share: above 0, below 1.
    """
    low, high = -logits.max() - 40, -logits.min() + 40
    offset: float = brentq(lambda offset: expit(logits + offset).mean() - share, low, high)
    return offset
