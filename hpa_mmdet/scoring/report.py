"""What tools/evaluate.py says, as one plain structure for JSON, tables and the page."""

from typing import Any

import numpy as np

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.scoring.contest import IOU_THRESHOLD, ContestResult
from hpa_mmdet.scoring.references import SOURCE, contest_references


def contest_report(result: ContestResult, iou_threshold: float = IOU_THRESHOLD) -> dict[str, Any]:
    """Give a contest score as JSON-ready values; `contest_map` is its top key."""
    references = contest_references()
    return {
        "contest_map": _number(result.contest_map),
        "iou_threshold": iou_threshold,
        "ties": {
            "tied_share": result.tied_share,
            "orders": result.ties.orders,
            "mean": _number(result.ties.mean),
            "lowest": _number(result.ties.lowest),
            "highest": _number(result.ties.highest),
        },
        "images": {
            "missing_in_submission": list(result.missing),
            "unknown_in_submission": list(result.unknown),
        },
        "per_class": [
            {
                "hpa_index": k,
                "name": LOCALIZATIONS[k].name,
                "ap": _number(float(result.ap[k])),
                "truths": int(result.truths[k]),
                "detections": int(result.detections[k]),
                **references[k]._asdict(),
            }
            for k in range(len(LOCALIZATIONS))
        ],
        "reference_source": SOURCE,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
