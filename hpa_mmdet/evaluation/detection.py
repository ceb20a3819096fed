"""How well cells are found, during training."""

from collections.abc import Sequence

from mmdet.registry import METRICS

from hpa_mmdet.evaluation.base import TruthMetric
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.scoring.detection import DetectionCollector


@METRICS.register_module()
class CellDetectionMetric(TruthMetric):
    """Class-agnostic mask average precision: `cells/ap_50`, `ap_60`, `ap_75`, recalls.

    Ranked by p(cell); weak labels do for its truth, since only the masks count.
    """

    default_prefix = "cells"

    def compute_metrics(self, results: Sequence[ImagePrediction]) -> dict[str, float]:
        """Score the images that were shown."""
        collect = DetectionCollector()
        for image, output in self.pairs(results):
            collect.add(image, [cell.rle for cell in output.cells], output.cell_scores)
        found = collect.result()
        return {
            f"{name}_{round(100 * at)}": value
            for name, values in (("ap", found.ap), ("recall", found.recall))
            for at, value in values.items()
        }
