"""Average precision and F1 of labels, where equal scores share one threshold.

Unlike detections, labels that are ranked have no order among equal scores: all of them are
called together. A constant score then has the class's frequency as average precision.

N: samples (cells or images); B: resamples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ScoreRanking(NamedTuple):
    """Samples by falling score, cut where the score changes.

    Args:
        order: (N,) indices of the samples.
        ends: position in `order` of the last sample of each different score.
    """

    order: NDArray[np.intp]
    ends: NDArray[np.intp]


def rank(scores: NDArray[np.floating]) -> ScoreRanking:
    """Sort (N,) scores, highest first."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    return ScoreRanking(order, ends[ends >= 0])


def label_average_precision(
    truth: NDArray[np.bool_],
    scores: NDArray[np.floating],
    weights: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Sum precision over the steps of recall, one step per different score.

    Args:
        truth: (N,) whether the sample has the label.
        scores: (N,).
        weights: (B, N) how often each resample holds each sample; once without it.

    Returns:
        (B,), or (1,) without weights; NaN where no sample has the label.

    Source:
        AP = sum over n of (R_n - R_(n-1)) P_n, as scikit-learn's average_precision_score.

    Examples:
        >>> label_average_precision(np.array([True, False, True]), np.array([0.9, 0.5, 0.5]))
        array([0.83333333])
    """
    ranking = rank(scores)
    if weights is None:
        weights = np.ones((1, len(scores)))
    ordered = weights[:, ranking.order]
    called = np.cumsum(ordered, axis=1)[:, ranking.ends]
    shown = ordered * truth[ranking.order]
    found = np.cumsum(shown, axis=1)[:, ranking.ends]
    steps = np.diff(found, axis=1, prepend=0.0)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    total = shown.sum(axis=1)
    unknown = np.full(len(weights), np.nan)
    return np.divide((steps * precision).sum(axis=1), total, out=unknown, where=total > 0)


def best_threshold(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Find the threshold of highest F1; a score of at least it is a call.

    The threshold lies half-way to the next lower score. A score of 0 is never a call: it is
    what a sample has that was not scored. Infinity where nothing can be called rightly.

    Args:
        truth: (N,).
        scores: (N,).

    Examples:
        >>> best_threshold(np.array([True, True, False]), np.array([0.9, 0.75, 0.25]))
        0.5
    """
    total = int(truth.sum())
    if total == 0:
        return float("inf")
    order, ends = rank(scores)
    ends = ends[scores[order[ends]] > 0]
    found = np.cumsum(truth[order])[ends]
    f1 = 2 * found / (ends + 1 + total)
    if not f1.any():
        return float("inf")
    at = int(np.argmax(f1))
    score = float(scores[order[ends[at]]])
    if at + 1 == len(ends):
        return score
    lower = float(scores[order[ends[at] + 1]])
    middle = (score + lower) / 2
    return middle if middle > lower else score  # neighbours among the floats have no middle


def f1_scores(
    truth: NDArray[np.bool_], called: NDArray[np.bool_], weights: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """F1 of each class; NaN where no sample has the label.

    Args:
        truth: (N, K).
        called: (N, K).
        weights: (B, N) how often each resample holds each sample; once without it.

    Returns:
        (B, K), or (1, K) without weights.
    """
    if weights is None:
        weights = np.ones((1, len(truth)))
    both = weights @ (truth & called)
    either = weights @ truth.astype(float) + weights @ called.astype(float)
    has_truth = weights @ truth > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(has_truth, 2 * both / either, np.nan)
