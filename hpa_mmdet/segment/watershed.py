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
        return _clean(planes, 1.0)[0]

    def depends_on(self, image_id: str) -> Sequence[Path]:
        """Give the files that the result depends on besides the image: none."""
        return ()

    def __call__(self, planes: Planes, image_id: str = "") -> Segmentation:
        """Segment one image; see `Segmenter`."""
        shape_hw = need_planes(planes, ("blue",), "watershed")
        diameter = self.size.known_px
        if diameter is None:
            whole = self.dna_of(planes)
            diameter = None if whole is None else self.size.in_pixels(whole)
        if diameter is None:
            return no_cells(shape_hw)
        factor = min(1.0, WORKING_DIAMETER_PX / diameter)
        dna, stains = _clean(planes, factor)
        if dna is None:
            return no_cells(shape_hw)
        nuclei = find_nuclei(dna, diameter * factor)
        large = enlarge_labels(nuclei, shape_hw)
        if self.nuclei_only or not stains:
            return Segmentation(large, large.copy())
        cells = grow_cells(nuclei, list(stains.values()), diameter * factor)
        return Segmentation(large, enlarge_labels(cells, shape_hw))


def _clean(planes: Planes, factor: float) -> tuple[Plane | None, dict[str, Plane]]:
    """Resize by a factor; give the DNA stain, None if it is spill, and those of the cell body."""
    given = without_scale_bars({name: planes[name] for name in STAINS if name in planes})
    stains = {name: resize(plane.astype(np.float32), factor) for name, plane in given.items()}
    dna = stains.pop("blue")
    return without_spill(dna, stains), stains
