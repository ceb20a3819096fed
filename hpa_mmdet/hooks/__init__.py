"""mmengine loops and hooks of ours, registered in mmdet's registries."""

from hpa_mmdet.hooks.fit_loop import DetectThenFitLoop

__all__ = ["DetectThenFitLoop"]
