"""The default segmenter: nuclei from the DNA stain, cells grown from them. No weights."""

from dataclasses import dataclass

import numpy as np

from hpa_mmdet.segment.artefacts import without_scale_bars, without_spill
from hpa_mmdet.segment.cells import grow_cells
from hpa_mmdet.segment.filters import enlarge_labels, resize
from hpa_mmdet.segment.nuclei import find_nuclei
from hpa_mmdet.segment.protocol import Planes, Segmentation, need_planes
from hpa_mmdet.segment.scale import estimate_nucleus_diameter

WORKING_DIAMETER_PX = 36.0
STAINS = ("blue", "red", "yellow")


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
        shape_hw = (planes["blue"].shape[0], planes["blue"].shape[1])
        nothing = Segmentation(np.zeros(shape_hw, np.int32), np.zeros(shape_hw, np.int32))
        stains = {name: planes[name].astype(np.float32) for name in STAINS if name in planes}
        stains = without_scale_bars(stains)
        dna = without_spill(stains.pop("blue"), stains)
        if dna is None:
            return nothing
        diameter = self.nucleus_diameter_px or estimate_nucleus_diameter(dna)
        if diameter is None:
            return nothing
        factor = min(1.0, WORKING_DIAMETER_PX / diameter)
        nuclei = find_nuclei(resize(dna, factor), diameter * factor)
        small = {name: resize(plane, factor) for name, plane in stains.items()}
        if self.nuclei_only or not small:
            nuclei = enlarge_labels(nuclei, shape_hw)
            return Segmentation(nuclei, nuclei.copy())
        cells = grow_cells(nuclei, list(small.values()), diameter * factor)
        return Segmentation(enlarge_labels(nuclei, shape_hw), enlarge_labels(cells, shape_hw))
