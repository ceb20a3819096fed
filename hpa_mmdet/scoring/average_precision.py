"""Average precision from detections that are true or false, all classes at once.

D: detections of all images; K: classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class RankedDetections(NamedTuple):
    """Detections of all images, in file order.

    Args:
        scores: (D,) float.
        classes: (D,) class index.
        truths: (D,) the truth each belongs to, numbered over all images; -1 for none.
    """

    scores: NDArray[np.float64]
    classes: NDArray[np.intp]
    truths: NDArray[np.intp]


def average_precision(is_true: NDArray[np.bool_], num_truths: int) -> float:
    """Integrate the precision envelope over every point of recall.

    Args:
        is_true: detections by falling score.
        num_truths: how many there are to find, more than 0.

    Source:
        Everingham et al., The PASCAL VOC challenge (IJCV 2010), the all-points form, as the
        OpenImages challenges use it.

    Examples:
        >>> round(average_precision(np.array([True, False, True]), 4), 4)  # (1 + 2/3) / 4
        0.4167
    """
    found = np.cumsum(is_true)
    precision = found / np.arange(1, len(is_true) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[is_true].sum() / num_truths)


def average_precisions(
    detections: RankedDetections,
    num_truths: NDArray[np.intp],
    tie_breaker: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Compute average precision per class; of several detections of a truth the first is true.

    Args:
        detections: see there.
        num_truths: (K,) how many truths each class has.
        tie_breaker: (D,) equal scores are ranked by it, lowest first; file order without.

    Returns:
        (K,) float; NaN for a class without truths.
    """
    is_true, classes = _rank(detections, tie_breaker)
    edges = np.searchsorted(classes, np.arange(len(num_truths) + 1))
    return np.array(
        [
            average_precision(is_true[edges[k] : edges[k + 1]], int(num)) if num else np.nan
            for k, num in enumerate(num_truths)
        ]
    )


def tied_share(detections: RankedDetections, num_truths: NDArray[np.intp]) -> float:
    """Give the share of detections whose score another one of its class has too.

    Only classes with truths count. 0 without detections.
    """
    counted = num_truths[detections.classes] > 0
    if not counted.any():
        return 0.0
    pairs = np.stack([detections.classes[counted], detections.scores[counted]], axis=1)
    _, group, sizes = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    return float(np.mean(sizes[group.ravel()] > 1))


def _rank(
    detections: RankedDetections, tie_breaker: NDArray[np.float64] | None
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Order by class, then falling score; mark the first detection of each truth."""
    keys: tuple[NDArray[np.generic], ...] = (-detections.scores, detections.classes)
    order = np.lexsort(keys if tie_breaker is None else (tie_breaker, *keys))  # stable
    classes, truths = detections.classes[order], detections.truths[order]
    matched = np.flatnonzero(truths >= 0)
    num_truths = int(truths.max(initial=-1)) + 1
    _, first = np.unique(classes[matched] * num_truths + truths[matched], return_index=True)
    is_true = np.zeros(len(order), dtype=bool)
    is_true[matched[first]] = True
    return is_true, classes
