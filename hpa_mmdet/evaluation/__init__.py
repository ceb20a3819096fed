"""mmengine metrics over hpa_mmdet.scoring, registered in mmdet's METRICS.

All read their truth from `ann_file`, a JSON of tools/convert_coco.py, and score the images
that they were shown. In a config:

    val_evaluator = [
        dict(type="ContestMetric", ann_file=data_root + "/val.json"),
        dict(type="CellDetectionMetric", ann_file=data_root + "/val.json"),
        dict(type="CellLocalizationMetric", ann_file=data_root + "/val.json"),
        dict(type="ImageLocalizationMetric", ann_file=data_root + "/val.json"),
    ]
"""

from hpa_mmdet.compat import prepare

prepare()

from hpa_mmdet.evaluation.contest import ContestMetric  # noqa: E402
from hpa_mmdet.evaluation.detection import CellDetectionMetric  # noqa: E402
from hpa_mmdet.evaluation.localization import (  # noqa: E402
    CellLocalizationMetric,
    ImageLocalizationMetric,
)

__all__ = [
    "CellDetectionMetric",
    "CellLocalizationMetric",
    "ContestMetric",
    "ImageLocalizationMetric",
]
