"""The contest's metric during training."""

from collections.abc import Sequence
from typing import Any

from mmdet.registry import METRICS

from hpa_mmdet.evaluation.base import TruthMetric
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.scoring.contest import IOU_THRESHOLD, ContestScorer
from hpa_mmdet.scoring.detections import detections_of_cells


@METRICS.register_module()
class ContestMetric(TruthMetric):
    """Mean over classes of average precision at mask IoU 0.6: `contest/map`.

    Every cell is a detection of each class with confidence p(cell) * p(k | cell), as in the
    submission that tools/infer.py writes. Equal confidences stay in the order of the images.

    Args:
        iou_threshold: least mask IoU of a true detection.
        kwargs: of `TruthMetric`.
    """

    default_prefix = "contest"

    def __init__(self, iou_threshold: float = IOU_THRESHOLD, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.iou_threshold = iou_threshold

    def compute_metrics(self, results: Sequence[ImagePrediction]) -> dict[str, float]:
        """Score the images that were shown."""
        scorer = ContestScorer(self.iou_threshold)
        for image, output in self.pairs(results):
            scorer.add(
                image, detections_of_cells([cell.rle for cell in output.cells], output.class_scores)
            )
        result = scorer.result(tie_orders=0)
        return {"map": result.contest_map, **self.by_class("ap", result.ap.tolist())}
