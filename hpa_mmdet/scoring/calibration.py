"""Do confidences mean what they say: of the cells scored 0.8, do 80 % show the class?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class CalibrationCurve(NamedTuple):
    """Scores in bins of equal width from 0 to 1; bins without scores are left out.

    Args:
        predicted: mean score of each bin.
        observed: share of the bin's labels that are true.
        counts: how many scores each bin holds.
        error: expected calibration error, the mean of |predicted - observed| over scores.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    counts: NDArray[np.intp]
    error: float


def calibration_curve(
    truth: NDArray[np.bool_], scores: NDArray[np.floating], bins: int = 10
) -> CalibrationCurve:
    """Compare scores with outcomes.

    Args:
        truth: any shape, whether the label is true.
        scores: the same shape, in [0, 1].
        bins: how many.

    Source:
        Guo et al., On calibration of modern neural networks (ICML 2017), applied to each
        (cell, class) pair.

    Examples:
        >>> curve = calibration_curve(np.array([True, False]), np.array([0.75, 0.75]), bins=4)
        >>> curve.predicted, curve.observed, curve.error
        (array([0.75]), array([0.5]), 0.25)
    """
    flat, outcomes = np.ravel(scores).astype(np.float64), np.ravel(truth)
    place = np.minimum((flat * bins).astype(np.intp), bins - 1)
    counts = np.bincount(place, minlength=bins)
    used = counts > 0
    predicted = np.bincount(place, flat, bins)[used] / counts[used]
    observed = np.bincount(place, outcomes, bins)[used] / counts[used]
    gap = np.abs(predicted - observed)
    error = float((gap * counts[used]).sum() / flat.size) if flat.size else float("nan")
    return CalibrationCurve(predicted, observed, counts[used], error)
