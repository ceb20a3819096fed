"""Synthetic 4-channel images of cells whose every localization is known.

Nothing here is a photograph: each image is drawn from a seed. Use it for demos, tests and
comparisons in which per-cell truth is needed.
"""

from hpa_mmdet.synth.image import SyntheticImage, render_cells, render_image
from hpa_mmdet.synth.shares import LabelModel

__all__ = ["LabelModel", "SyntheticImage", "render_cells", "render_image"]
