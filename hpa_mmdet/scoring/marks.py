"""Three marks to read a score by, on the truth's own masks.

*Frequencies*: every cell gets the same confidences. Within a class all are equal, so it does
not matter which frequencies they are; the mark is the mean over random orders. *Image
labels*: every cell gets its image's true labels, with confidence one or 1 / their number:
what can be had without telling the cells of an image apart. *Truth*: every cell its own set.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.scoring.contest import IOU_THRESHOLD, ContestResult, ContestScorer
from hpa_mmdet.scoring.detections import MaskDetections
from hpa_mmdet.scoring.truth import TruthImage


class Marks(NamedTuple):
    """Contest scores of guesses that know a given amount."""

    frequencies: ContestResult
    image_labels_one: ContestResult
    image_labels_share: ContestResult
    truth: ContestResult


def compute_marks(
    images: Iterable[TruthImage],
    *,
    tie_orders: int,
    iou_threshold: float = IOU_THRESHOLD,
    seed: int = 0,
) -> Marks:
    """Score the marks.

    Args:
        images: true cells, with the image labels that are the second mark.
        tie_orders: random orders of equal confidences; nearly all of them are equal here,
            so the marks are the means over these.
        iou_threshold: least mask IoU of a true detection.
        seed: of the orders.
    """
    scorers = [ContestScorer(iou_threshold) for _ in Marks._fields]
    for image in images:
        cells = len(image.rles)
        iou = np.eye(cells)
        labels = image.image_labels.astype(np.float64)
        share = labels / max(1.0, labels.sum())
        guesses = (
            np.ones((cells, labels.size)),
            np.tile(labels, (cells, 1)),
            np.tile(share, (cells, 1)),
            image.localizations.astype(np.float64),
        )
        for scorer, guess in zip(scorers, guesses, strict=True):
            scorer.add(image, _detections(image, guess), iou)
    return Marks(*(scorer.result(tie_orders, seed) for scorer in scorers))


def _detections(image: TruthImage, class_scores: NDArray[np.float64]) -> MaskDetections:
    mask_index, hpa_index = np.nonzero(class_scores)
    scores = class_scores[mask_index, hpa_index]
    return MaskDetections(image.rles, mask_index, hpa_index, scores)
