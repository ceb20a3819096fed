"""What tools/evaluate.py says, as one plain structure for JSON, tables and the page."""

from typing import Any

from numpy.typing import NDArray

from hpa_mmdet.io.json_files import plain_values
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.scoring.calibration import calibration_curve
from hpa_mmdet.scoring.cells import CellResult, ScoredCells
from hpa_mmdet.scoring.confusion import confusion, cooccurrence
from hpa_mmdet.scoring.contest import IOU_THRESHOLD, ContestResult
from hpa_mmdet.scoring.detection import DetectionResult
from hpa_mmdet.scoring.files import FileScores, found_share
from hpa_mmdet.scoring.images import ImageResult
from hpa_mmdet.scoring.marks import Marks
from hpa_mmdet.scoring.references import SOURCE, contest_references
from hpa_mmdet.scoring.resampling import Estimate

ScoreReport = dict[str, Any]
"""All scores as plain values; `contest_map` is the top key."""


def full_report(
    scores: FileScores, iou_threshold: float = IOU_THRESHOLD, marks: Marks | None = None
) -> ScoreReport:
    """Give all scores as JSON-ready values; `contest_map` is the top key. NaN is None."""
    report = contest_report(scores.contest, iou_threshold)
    report["detection"] = _detection_report(scores.detection, scores.cells_from_file)
    report["cells"] = _cells_report(scores.cells, scores.table)
    report["image_level"] = _images_report(scores.images)
    if marks is not None:
        report["marks"] = {name: _mark(getattr(marks, name)) for name in Marks._fields}
    return plain_values(report)


def contest_report(result: ContestResult, iou_threshold: float = IOU_THRESHOLD) -> ScoreReport:
    """Give a contest score as JSON-ready values; `contest_map` is its top key."""
    rows = _per_class(ap=result.ap, truths=result.truths, detections=result.detections)
    report = {
        "contest_map": result.contest_map,
        "iou_threshold": iou_threshold,
        "ties": {"tied_share": result.tied_share, **result.ties._asdict()},
        "images": {
            "missing_in_submission": result.missing,
            "unknown_in_submission": result.unknown,
        },
        "per_class": [
            row | reference._asdict()
            for row, reference in zip(rows, contest_references(), strict=True)
        ],
        "reference_source": SOURCE,
    }
    return plain_values(report)


def _mark(result: ContestResult) -> ScoreReport:
    return {"contest_map": result.ties.mean, **result.ties._asdict(), "ap": result.ap_over_orders}


def _detection_report(result: DetectionResult, from_file: bool) -> ScoreReport:
    return {
        "ranked_by": "score of the cells file" if from_file else "1 - prod(1 - confidence)",
        "ap": {str(at): value for at, value in result.ap.items()},
        "recall": {str(at): value for at, value in result.recall.items()},
        "precision": {str(at): value for at, value in result.precision.items()},
        "cells": result.cells,
        "detections": result.detections,
    }


def _cells_report(result: CellResult, table: ScoredCells) -> ScoreReport:
    curve = calibration_curve(table.truth[table.found], table.scores[table.found])
    return {
        "found_share": found_share(table),
        "map": result.mean_ap.value,
        "map_range": _range(result.mean_ap),
        "macro_f1": result.macro_f1.value,
        "macro_f1_range": _range(result.macro_f1),
        "frequency_map": result.frequency_ap,
        "per_class": _per_class(
            cells=result.cells, ap=result.ap, f1=result.f1, threshold=result.thresholds
        ),
        "calibration": curve._asdict(),
        "confusion": confusion(table.truth, result.called),
        "cooccurrence": cooccurrence(table.truth),
    }


def _images_report(result: ImageResult) -> ScoreReport:
    return {
        "map": result.mean_ap.value,
        "map_range": _range(result.mean_ap),
        "pooling": result.pooling,
        "per_class": _per_class(images=result.images, ap=result.ap),
    }


def _per_class(**values: NDArray[Any]) -> list[dict[str, Any]]:
    """Give a row for each class, from K values under each name."""
    return [
        {"hpa_index": k, "name": name, **{key: column[k] for key, column in values.items()}}
        for k, name in enumerate(NAMES)
    ]


def _range(estimate: Estimate) -> tuple[float, float]:
    return (estimate.low, estimate.high)
