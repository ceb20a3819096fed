"""The second stage of training: localization heads fitted on cached features."""

from hpa_mmdet.fit.loop import DetectThenFitLoop

__all__ = ["DetectThenFitLoop"]
