"""Ranges of scores: what other draws of the same number of images would have given.

N: cells or images; B: resamples; K: classes.

Source: B. Efron, Bootstrap methods: another look at the jackknife (Annals of Statistics,
1979), over images, since the cells of an image are not independent.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.scoring.ranking import label_average_precision

# more weights than this are worked off in parts
_BLOCK = 4_000_000
_QUANTILES = (0.025, 0.975)


class Estimate(NamedTuple):
    """A figure and the range that 95 % of the resamples of images give."""

    value: float
    low: float
    high: float


def resample_images(
    images: NDArray[np.intp], resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Draw images with replacement.

    Args:
        images: (N,) the image of each cell.
        resamples: B, how many draws.
        seed: of the draws.

    Yields:
        (b, N) how often each cell is in each draw, until there were B draws.
    """
    present, index = np.unique(images, return_inverse=True)
    if len(present) == 0:
        return
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(images))
    shares = np.full(len(present), 1 / len(present))
    for start in range(0, resamples, block):
        draws = rng.multinomial(len(present), shares, min(block, resamples - start))
        yield draws[:, index].astype(np.float64)


def class_average_precisions(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Average precision of each class, NaN where nothing shows it.

    Args:
        truth: (N, K).
        scores: (N, K).
        weights: (B, N) of resamples.

    Returns:
        (B, K), or (1, K) without weights.
    """
    classes = zip(truth.T, scores.T, strict=True)
    return np.stack([label_average_precision(*of_class, weights) for of_class in classes], axis=1)


def mean_of_known(values: NDArray[np.float64]) -> float:
    """Mean of the values that are not NaN; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def with_range(value: float, resampled: list[float]) -> Estimate:
    """Put a figure beside the range of its resamples; NaN without any."""
    known = [figure for figure in resampled if not np.isnan(figure)]
    if not known:
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(known, _QUANTILES)
    return Estimate(value, float(low), float(high))
