"""How well cells and images are named, during training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from numpy.typing import NDArray

from hpa_mmdet.evaluation.base import TruthMetric
from hpa_mmdet.masks.overlap import mask_iou
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.scoring.cells import CellCollector, score_cells
from hpa_mmdet.scoring.contest import IOU_THRESHOLD
from hpa_mmdet.scoring.files import found_share
from hpa_mmdet.scoring.images import ImageCollector, Pooling
from hpa_mmdet.scoring.matching import NO_MATCH
from hpa_mmdet.scoring.truth import TruthImage


@METRICS.register_module()
class CellLocalizationMetric(TruthMetric):
    """Naming of single cells by p(k | cell): `localization/map`, `macro_f1`, `found`.

    Where the cells were given (`cell_ids`), each true cell has its own scores; else those
    of the prediction that overlaps it. Thresholds behind F1 are tuned on other images than
    they are tried on. `frequency_map` is what constant scores have.

    Args:
        iou_threshold: least overlap of a prediction and its cell.
        kwargs: of `TruthMetric`.
    """

    default_prefix = "localization"

    def __init__(self, iou_threshold: float = IOU_THRESHOLD, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.iou_threshold = iou_threshold

    def wants_masks(self, sample: Mapping[str, Any]) -> bool:
        """Need masks only where `cell_ids` do not say which cell is which."""
        parts = (sample["pred_instances"], sample.get("given_instances", {}))
        return not any("cell_ids" in part for part in parts)

    def compute_metrics(self, results: Sequence[ImagePrediction]) -> dict[str, float]:
        """Score the images that were shown."""
        collect = CellCollector()
        for image, output in self.pairs(results):
            scores = output.localization_scores
            cell_ids = [cell.cell_id for cell in output.cells if cell.cell_id is not None]
            if len(cell_ids) < len(output.cells) or not cell_ids:
                iou = mask_iou([cell.rle for cell in output.cells], image.rles)
                collect.add_overlaps(image, scores, iou, self.iou_threshold)
            else:
                collect.add(image, scores, _rows_of(image, cell_ids))
        table = collect.table()
        result = score_cells(table, resamples=0)
        return {
            "map": result.mean_ap.value,
            "macro_f1": result.macro_f1.value,
            "frequency_map": result.frequency_ap,
            "found": found_share(table),
            **self.by_class("ap", result.ap.tolist()),
        }


@METRICS.register_module()
class ImageLocalizationMetric(TruthMetric):
    """Naming of images from their cells' pooled scores: `image/map`.

    The one score of localizations that weakly labelled data allows: its truth is the image
    labels, which are exact. `head_map` is the image head's own, where the model has one.

    Args:
        pooling: of the cells of an image; see `hpa_mmdet.scoring.images.pool_class_scores`.
        kwargs: of `TruthMetric`.
    """

    default_prefix = "image"
    needs_masks = False

    def __init__(self, pooling: Pooling = "max", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pooling = pooling

    def compute_metrics(self, results: Sequence[ImagePrediction]) -> dict[str, float]:
        """Score the images that were shown."""
        pooled, head = ImageCollector(self.pooling), ImageCollector("max")
        pairs = self.pairs(results)
        for image, output in pairs:
            pooled.add(image.image_labels, output.class_scores)
            if output.image_probs is not None:
                head.add(image.image_labels, output.image_probs[None].astype(np.float64))
        result = pooled.result(resamples=0)
        figures = {"map": result.mean_ap.value, **self.by_class("ap", result.ap.tolist())}
        if pairs and all(output.image_probs is not None for _, output in pairs):
            figures["head_map"] = head.result(resamples=0).mean_ap.value
        return figures


def _rows_of(image: TruthImage, cell_ids: Sequence[int]) -> NDArray[np.intp]:
    """(N,) the row of each true cell among the predicted ones, by its id."""
    row_of = {cell_id: row for row, cell_id in enumerate(cell_ids)}
    rows = [row_of.get(cell_id, NO_MATCH) for cell_id in image.cell_ids]
    return np.array(rows, dtype=np.intp).reshape(len(image.cell_ids))
