"""Fits of the localization heads on cached features, before or after other training."""

from hpa_mmdet.fit.loop import DetectThenFitLoop
from hpa_mmdet.fit.quiet_optimizer import QuietOptimWrapperConstructor
from hpa_mmdet.fit.tune_loop import FitThenTuneLoop

__all__ = ["DetectThenFitLoop", "FitThenTuneLoop", "QuietOptimWrapperConstructor"]
