"""Average precision from detections that are true or false, all classes at once.

D: detections of all images; K: classes.
"""

from itertools import pairwise
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


class DetectionRanking(NamedTuple):
    """Detections ordered by class, then by falling score, ties in file order.

    Args:
        order: (D,) places in the file.
        classes: (D,) in that order.
        scores: (D,) in that order.
        truths: (D,) in that order, numbered so that no two classes share one; -1 for none.
        edges: (K + 1,) where each class begins.
    """

    order: NDArray[np.intp]
    classes: NDArray[np.intp]
    scores: NDArray[np.float64]
    truths: NDArray[np.intp]
    edges: NDArray[np.intp]


def rank_detections(detections: RankedDetections, num_classes: int) -> DetectionRanking:
    """Order detections once, for any number of ways to break their ties."""
    # sorting by class costs next to nothing (16 bits: radix sort), and is stable
    order = np.argsort(detections.classes.astype(np.uint16), kind="stable")
    classes = detections.classes[order]
    edges = np.searchsorted(classes, np.arange(num_classes + 1))
    falling = -detections.scores[order]
    for start, stop in pairwise(edges.tolist()):
        order[start:stop] = order[start:stop][_stable_order(falling[start:stop])]
    truths = detections.truths[order]
    own = np.where(truths >= 0, truths * num_classes + classes, -1)
    return DetectionRanking(order, classes, detections.scores[order], own, edges)


def _stable_order(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Sort, equal values in their own order; the quicker unstable sort where none are equal."""
    order = np.argsort(values)
    ordered = values[order]
    if np.any(ordered[1:] == ordered[:-1]):
        return np.argsort(values, kind="stable")
    return order


def average_precisions(
    ranking: DetectionRanking, num_truths: NDArray[np.intp], rng: np.random.Generator | None = None
) -> NDArray[np.float64]:
    """Compute average precision per class; of several detections of a truth the first is true.

    Args:
        ranking: see there.
        num_truths: (K,) how many truths each class has.
        rng: equal scores come in a random order of its making; in file order without.

    Returns:
        (K,) float; NaN for a class without truths.
    """
    truths = ranking.truths
    if rng is not None:
        shuffled = rng.permutation(len(truths))
        truths = truths[shuffled[np.argsort(_tie_groups(ranking)[shuffled], kind="stable")]]
    matched = np.flatnonzero(truths >= 0)
    _, first = np.unique(truths[matched], return_index=True)
    is_true = np.zeros(len(truths), dtype=bool)
    is_true[matched[first]] = True
    edges = ranking.edges
    return np.array(
        [
            average_precision(is_true[edges[k] : edges[k + 1]], int(num)) if num else np.nan
            for k, num in enumerate(num_truths)
        ]
    )


def tied_share(ranking: DetectionRanking, num_truths: NDArray[np.intp]) -> float:
    """Give the share of detections whose score another one of its class has too.

    Only classes with truths count. 0 without detections.
    """
    counted = num_truths[ranking.classes] > 0
    if not counted.any():
        return 0.0
    group = _tie_groups(ranking)
    return float(np.mean(np.bincount(group)[group[counted]] > 1))


def _tie_groups(ranking: DetectionRanking) -> NDArray[np.intp]:
    """Number the runs of equal class and score."""
    changes = (np.diff(ranking.classes) != 0) | (np.diff(ranking.scores) != 0)
    return np.append(0, np.cumsum(changes))
