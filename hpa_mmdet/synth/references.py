"""The three reference channels of one cell: microtubules, nucleus, reticulum."""

from typing import NamedTuple

import numpy as np

from hpa_mmdet.synth.compartments.cytoplasm import draw_reticulum
from hpa_mmdet.synth.compartments.filaments import draw_microtubules
from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.texture import Field


class References(NamedTuple):
    """Planes (h, w), each about 1 where it is bright."""

    microtubules: Field
    chromatin: Field
    reticulum: Field


def draw_references(cell: CellGeometry) -> References:
    """Draw the three reference channels; a protein there lies on the very same geometry."""
    red = scaled(draw_microtubules(cell), 0.985)
    return References(red, _chromatin(cell), scaled(draw_reticulum(cell), 0.985))


def scaled(plane: Field, quantile: float) -> Field:
    """Divide by a high quantile of the lit pixels, so that bright parts are about 1."""
    lit = plane[plane > 0.02 * plane.max(initial=0)]
    if not lit.size:
        return plane
    return (plane / np.quantile(lit, quantile)).astype(np.float32)


def _chromatin(cell: CellGeometry) -> Field:
    """DNA: grained, nucleoli dark; a bright lumpy plate in a dividing cell."""
    rng = cell.rng
    if cell.mitotic:
        lumps = np.clip(1.4 + 0.35 * cell.noise(1.3), 0.3, None).astype(np.float32)
        return cell.blur(cell.nuclear * lumps, 0.12)
    deviation = cell.line.chromatin_grain
    grain = 0.85 + deviation * (cell.noise(1.4) + 0.6 * cell.noise(0.6))
    grain += 0.08 * cell.noise(5.0)
    dark = rng.uniform(0.3, 0.75)
    return cell.nuclear * np.clip(grain, 0.1, None) * (1 - dark * cell.nucleoli)
