"""How well cells are found, whatever they show: average precision as COCO computes it.

U: detected cells of an image; T: its true cells; 101 points of recall.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hpa_mmdet.masks.rle import Rle
from hpa_mmdet.scoring.truth import TruthImage

THRESHOLDS = (0.5, 0.6, 0.75)
_CELL = 1
_ALL = 100_000  # COCO's usual 100 detections an image would drop cells of crowded ones
_AREA = 1.0  # of every cell: areas make no difference


@dataclass(frozen=True)
class DetectionResult:
    """Class-agnostic detection.

    Args:
        ap: average precision at each IoU, 101 points; NaN without true cells.
        recall: share of the true cells found at each IoU, of all detections.
        precision: share of all detections that are true at each IoU.
        cells: how many true cells.
        detections: how many detections.
    """

    ap: dict[float, float]
    recall: dict[float, float]
    precision: dict[float, float]
    cells: int
    detections: int


class DetectionCollector:
    """Collects true and detected cells, image by image."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._truth: list[dict[str, Any]] = []
        self._detected: list[dict[str, Any]] = []

    def add(self, truth: TruthImage, masks: Sequence[Rle], scores: NDArray[np.floating]) -> None:
        """Add one image.

        Args:
            truth: its true cells.
            masks: U detected cells.
            scores: (U,) how sure each is a cell.
        """
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "width": truth.width, "height": truth.height})
        for rle in truth.rles:
            self._truth.append({**_annotation(self._truth, image_id, rle), "iscrowd": 0})
        for rle, score in zip(masks, scores, strict=True):
            one = _annotation(self._detected, image_id, rle)
            self._detected.append({**one, "score": float(score)})

    def result(self, thresholds: Sequence[float] = THRESHOLDS) -> DetectionResult:
        """Score what was added, with faster-coco-eval where it is installed."""
        cells, detections = len(self._truth), len(self._detected)
        if cells == 0:
            nothing = dict.fromkeys(thresholds, float("nan"))
            return DetectionResult(nothing, nothing, nothing, 0, detections)
        if detections == 0:
            nothing = dict.fromkeys(thresholds, 0.0)
            return DetectionResult(nothing, nothing, nothing, cells, 0)
        precision, recall = _evaluate(
            self._dataset(self._truth), self._dataset(self._detected), thresholds
        )
        found = {at: float(recall[place]) for place, at in enumerate(thresholds)}
        return DetectionResult(
            ap={at: float(precision[place].mean()) for place, at in enumerate(thresholds)},
            recall=found,
            precision={at: share * cells / detections for at, share in found.items()},
            cells=cells,
            detections=detections,
        )

    def _dataset(self, annotations: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "images": self._images,
            "annotations": annotations,
            "categories": [{"id": _CELL, "name": "cell"}],
        }


def _annotation(before: list[dict[str, Any]], image_id: int, rle: Rle) -> dict[str, Any]:
    return {
        "id": len(before) + 1,
        "image_id": image_id,
        "category_id": _CELL,
        "segmentation": rle,
        "area": _AREA,
    }


def _evaluate(
    truth: dict[str, Any], detected: dict[str, Any], thresholds: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give precision (thresholds, 101) and recall (thresholds,) from COCO's evaluator."""
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints from its depths
        evaluator = _evaluator_class()(_indexed(truth), _indexed(detected), "segm")
        evaluator.params.iouThrs = np.array(thresholds)
        evaluator.params.maxDets = [_ALL]
        evaluator.params.areaRng = [[_AREA, _AREA]]
        evaluator.params.areaRngLbl = ["all"]
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator.eval["precision"][:, :, 0, 0, 0], evaluator.eval["recall"][:, 0, 0, 0]


def _indexed(dataset: dict[str, Any]) -> Any:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _evaluator_class() -> Any:
    if find_spec("faster_coco_eval") is None:
        return COCOeval
    return import_module("faster_coco_eval").COCOeval_faster
