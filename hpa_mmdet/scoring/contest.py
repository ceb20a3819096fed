"""The metric of the HPA single-cell contest: mean average precision at mask IoU >= 0.6.

For each class, the detections of all images are sorted by confidence. A detection belongs
to the truth of its class in its image that it overlaps most; it is true if their IoU is at
least 0.6 and no detection before it was matched to that truth, else false. Average
precision integrates the precision envelope over all points of recall; the score is its
mean over the classes that have truths. Every image counts for every class.

K = 19 localizations; U: different masks of an image; T: its true cells.

Source: the instance segmentation metric of the OpenImages challenge 2019, with IoU 0.6 and
19 classes (Human Protein Atlas - Single Cell Classification, Kaggle 2021, "Evaluation").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.overlap import mask_iou
from hpa_mmdet.scoring.average_precision import (
    RankedDetections,
    average_precisions,
    rank_detections,
    tied_share,
)
from hpa_mmdet.scoring.detections import MaskDetections
from hpa_mmdet.scoring.matching import NO_MATCH, match_by_class
from hpa_mmdet.scoring.resampling import mean_of_known
from hpa_mmdet.scoring.truth import TruthImage

IOU_THRESHOLD = 0.6


class TieOrders(NamedTuple):
    """What random orders of equal confidences give: the score's mean and range."""

    orders: int
    mean: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class ContestResult:
    """The contest's score.

    Args:
        contest_map: mean over the classes with truths, equal confidences in file order.
        ap: (K,) per class, NaN without truths.
        truths: (K,) cells of each class.
        detections: (K,) detections of each class.
        tied_share: share of detections that tie with another of their class.
        ties: what random orders of the tied ones give.
        ap_over_orders: (K,) mean of each class over these orders.
        missing: ids of the truth that the submission has no row for; their cells count as
            not found.
        unknown: ids of the submission that are not in the truth; they are left out.
    """

    contest_map: float
    ap: NDArray[np.float64]
    truths: NDArray[np.intp]
    detections: NDArray[np.intp]
    tied_share: float
    ties: TieOrders
    ap_over_orders: NDArray[np.float64]
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class ContestScorer:
    """Collects images one by one; an image's masks are not kept.

    Args:
        iou_threshold: least mask IoU of a true detection.
    """

    def __init__(self, iou_threshold: float = IOU_THRESHOLD) -> None:
        self.iou_threshold = iou_threshold
        self._num_truths = np.zeros(NUM_LOCALIZATIONS, dtype=np.intp)
        self._cells = 0
        self._parts: list[RankedDetections] = []

    def add(
        self,
        truth: TruthImage,
        detections: MaskDetections | None = None,
        iou: NDArray[np.float64] | None = None,
    ) -> None:
        """Add one image: its truth and what was detected there (nothing, if left out).

        Args:
            truth: the image's cells.
            detections: of the image.
            iou: (U, T) where it is already known; only values of at least the threshold count.
        """
        self._num_truths += truth.localizations.sum(axis=0)
        first, self._cells = self._cells, self._cells + len(truth.rles)
        if detections is None or len(detections.scores) == 0:
            return
        if iou is None:
            iou = mask_iou(detections.masks, truth.rles)
        best = match_by_class(
            iou,
            detections.mask_index,
            detections.hpa_index,
            truth.localizations,
            self.iou_threshold,
        )
        truths = np.where(best == NO_MATCH, NO_MATCH, best + first)
        self._parts.append(RankedDetections(detections.scores, detections.hpa_index, truths))

    def result(
        self,
        tie_orders: int,
        seed: int = 0,
        missing: Sequence[str] = (),
        unknown: Sequence[str] = (),
    ) -> ContestResult:
        """Score what was added.

        Args:
            tie_orders: how many random orders of equal confidences to try.
            seed: of those orders.
            missing: handed on to the result.
            unknown: handed on to the result.
        """
        ranking = rank_detections(_joined(self._parts), NUM_LOCALIZATIONS)
        ap = average_precisions(ranking, self._num_truths)
        tied = tied_share(ranking, self._num_truths)
        rng = np.random.default_rng(seed)
        orders = [
            average_precisions(ranking, self._num_truths, rng)
            for _ in range(tie_orders if tied else 0)
        ]
        values = [mean_of_known(order) for order in orders] or [mean_of_known(ap)]
        return ContestResult(
            contest_map=mean_of_known(ap),
            ap=ap,
            truths=self._num_truths.copy(),
            detections=np.diff(ranking.edges),
            tied_share=tied,
            ties=TieOrders(len(orders), float(np.mean(values)), min(values), max(values)),
            ap_over_orders=np.mean(orders, axis=0) if orders else ap,
            missing=tuple(missing),
            unknown=tuple(unknown),
        )


def _joined(parts: list[RankedDetections]) -> RankedDetections:
    none = np.empty(0, np.intp)
    return RankedDetections(
        np.concatenate([np.empty(0), *(part.scores for part in parts)]),
        np.concatenate([none, *(part.classes for part in parts)]),
        np.concatenate([none, *(part.truths for part in parts)]),
    )
