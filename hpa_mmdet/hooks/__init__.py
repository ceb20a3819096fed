"""mmengine hooks of ours, registered in mmdet's registries."""

from hpa_mmdet.hooks.class_counts import MeasureClasses
from hpa_mmdet.hooks.left_out_cells import CountLeftOutCells
from hpa_mmdet.hooks.prediction_pictures import PredictionPictures
from hpa_mmdet.hooks.progress import ProgressBar
from hpa_mmdet.hooks.start_up_checks import StartUpChecks

__all__ = [
    "CountLeftOutCells",
    "MeasureClasses",
    "PredictionPictures",
    "ProgressBar",
    "StartUpChecks",
]
