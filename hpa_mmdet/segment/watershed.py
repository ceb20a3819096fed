"""The default segmenter: nuclei from the DNA stain, cells grown from them. No weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hpa_mmdet.segment.artefacts import without_scale_bars, without_spill
from hpa_mmdet.segment.cells import grow_cells
from hpa_mmdet.segment.filters import Plane, enlarge_labels, resize
from hpa_mmdet.segment.method_options import option
from hpa_mmdet.segment.nuclei import find_nuclei
from hpa_mmdet.segment.protocol import Planes, Segmentation, need_planes, no_cells
from hpa_mmdet.segment.sizes import UNKNOWN_SIZE, WORKING_DIAMETER_PX, NucleusSize

STAINS = ("blue", "red", "yellow")


@dataclass(frozen=True)
class WatershedSegmenter:
    """Nuclei from a tree of thresholds, split by shape; cells grown over red and yellow.

    Needs `blue`; uses `red` and `yellow` as far as they are there.

    Args:
        size: what is known of the nuclei's size; nothing means to estimate it per image.
        nuclei_only: the nuclei are the cells, whatever other channels there are.
    """

    size: NucleusSize = UNKNOWN_SIZE
    nuclei_only: bool = field(
        default=False,
        metadata=option("--nuclei-only", "the nuclei are the cells; needs blue alone"),
    )

    @property
    def size_to_estimate(self) -> NucleusSize | None:
        """See `Segmenter`."""
        return self.size.to_estimate()

    def dna_of(self, planes: Planes) -> Plane | None:
        """Give the (H, W) DNA stain without scale bars and spill; None if there is none.

        Raises:
            InputError: as when called.
        """
        need_planes(planes, ("blue",), "watershed")
        return _clean(planes)[0]

    def depends_on(self, image_id: str) -> Sequence[Path]:
        """Give the files that the result depends on besides the image: none."""
        return ()

    def __call__(self, planes: Planes, image_id: str = "") -> Segmentation:
        """Segment one image; see `Segmenter`."""
        shape_hw = need_planes(planes, ("blue",), "watershed")
        dna, stains = _clean(planes)
        diameter = None if dna is None else self.size.in_pixels(dna)
        if dna is None or diameter is None:
            return no_cells(shape_hw)
        factor = min(1.0, WORKING_DIAMETER_PX / diameter)
        nuclei = find_nuclei(resize(dna, factor), diameter * factor)
        if self.nuclei_only or not stains:
            large = enlarge_labels(nuclei, shape_hw)
            return Segmentation(large, large.copy())
        bodies = [resize(plane, factor) for plane in stains.values()]
        cells = grow_cells(nuclei, bodies, diameter * factor)
        return Segmentation(enlarge_labels(nuclei, shape_hw), enlarge_labels(cells, shape_hw))


def _clean(planes: Planes) -> tuple[Plane | None, dict[str, Plane]]:
    """Give the DNA stain, None if there is only spill, and the stains of the cell body."""
    stains = {name: planes[name].astype(np.float32) for name in STAINS if name in planes}
    stains = without_scale_bars(stains)
    dna = stains.pop("blue")
    return without_spill(dna, stains), stains
