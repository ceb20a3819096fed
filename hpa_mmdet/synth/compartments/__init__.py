"""How each localization looks: one drawing function per class, grouped by compartment.

Every function takes a `CellGeometry` and returns an (h, w) float32 plane of light >= 0 in
any unit: `protein.py` scales it.
"""

from collections.abc import Callable

from hpa_mmdet.synth.compartments import cytoplasm, filaments, membrane, nucleus
from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.texture import Field

# hpa_index -> drawing function; Negative (18) shows nothing and has none
DRAWERS: dict[int, Callable[[CellGeometry], Field]] = {
    0: nucleus.draw_nucleoplasm,
    1: nucleus.draw_nuclear_membrane,
    2: nucleus.draw_nucleoli,
    3: nucleus.draw_fibrillar_centers,
    4: nucleus.draw_speckles,
    5: nucleus.draw_nuclear_bodies,
    6: cytoplasm.draw_reticulum,
    7: cytoplasm.draw_golgi,
    8: filaments.draw_intermediate_filaments,
    9: filaments.draw_actin,
    10: filaments.draw_microtubules,
    11: filaments.draw_spindle,
    12: filaments.draw_centrosome,
    13: membrane.draw_plasma_membrane,
    14: cytoplasm.draw_mitochondria,
    15: cytoplasm.draw_aggresome,
    16: cytoplasm.draw_cytosol,
    17: cytoplasm.draw_vesicles,
}

__all__ = ["DRAWERS"]
