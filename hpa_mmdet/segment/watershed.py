"""The default segmenter: nuclei from the DNA stain, cells grown from them. No weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.segment.cells import grow_cells
from hpa_mmdet.segment.filters import resize, resize_labels
from hpa_mmdet.segment.nuclei import find_nuclei
from hpa_mmdet.segment.protocol import Planes, Segmentation, need_planes
from hpa_mmdet.segment.scale import estimate_nucleus_diameter

WORKING_DIAMETER_PX = 36.0


@dataclass(frozen=True)
class WatershedSegmenter:
    """Nuclei from local thresholds, split by shape; cells grown over red and yellow.

    Args:
        nucleus_diameter_px: diameter of a typical nucleus; None estimates it per image.
        nuclei_only: the nuclei are the cells, whatever other channels there are.
    """

    nucleus_diameter_px: float | None = None
    nuclei_only: bool = False

    def __call__(self, planes: Planes) -> Segmentation:
        """Segment one image; see `Segmenter`."""
        need_planes(planes, ("blue",), "watershed")
        dna = planes["blue"]
        shape_hw = (dna.shape[0], dna.shape[1])
        diameter = self.nucleus_diameter_px or estimate_nucleus_diameter(dna)
        if diameter is None:
            return Segmentation(np.zeros(shape_hw, np.int32), np.zeros(shape_hw, np.int32))
        factor = min(1.0, WORKING_DIAMETER_PX / diameter)
        small = {name: resize(planes[name].astype(np.float32), factor) for name in planes}
        nuclei = find_nuclei(small["blue"], diameter * factor)
        bodies = [small[name] for name in ("red", "yellow") if name in small]
        if self.nuclei_only or not bodies:
            nuclei = resize_labels(nuclei, shape_hw)
            return Segmentation(nuclei, nuclei.copy())
        cells = grow_cells(nuclei, bodies, diameter * factor)
        return _at_full_size(nuclei, cells, shape_hw)


def _at_full_size(
    nuclei: NDArray[np.int32], cells: NDArray[np.int32], shape_hw: tuple[int, int]
) -> Segmentation:
    return Segmentation(resize_labels(nuclei, shape_hw), resize_labels(cells, shape_hw))
