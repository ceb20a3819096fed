"""The green channel of one cell: its localizations together, at a brightness that does not
tell which they are.

Grey values are 0..255 before the microscope adds its own.
"""  # noqa: D205

from dataclasses import dataclass

import numpy as np

from hpa_mmdet.synth.compartments import DRAWERS
from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.references import References
from hpa_mmdet.synth.texture import Field

_RETICULUM, _MICROTUBULES, _SPINDLE, _NEGATIVE = 6, 10, 11, 18


@dataclass(frozen=True)
class Stain:
    """What one image's antibody does, whatever it binds to.

    Args:
        mean_grey: mean grey value that a cell gets, before its own brightness.
        peak_grey: brightest that a pattern gets.
        background: unspecific light in every cell, as a share of the pattern's peak.
        nuclear_background: that light in the nucleus over that in the cytoplasm.
        cell_spread: deviation of the logarithm of a cell's own brightness.
    """

    mean_grey: float
    peak_grey: float
    background: float
    nuclear_background: float
    cell_spread: float


def draw_stain(rng: np.random.Generator) -> Stain:
    """Draw an image's stain; it does not depend on the image's labels."""
    return Stain(
        mean_grey=float(np.clip(np.exp(rng.normal(np.log(32), 0.45)), 9, 100)),
        peak_grey=float(rng.uniform(110, 245)),
        background=float(0.02 + 0.17 * rng.beta(1.2, 2.0)),
        nuclear_background=float(np.exp(rng.normal(0, 0.25))),
        cell_spread=float(rng.uniform(0.1, 0.4)),
    )


def draw_protein(
    cell: CellGeometry, localizations: frozenset[int], references: References, stain: Stain
) -> Field:
    """Draw the protein of one cell.

    A pattern that fills the cell gets a low peak and one that is a dot a high one, and what
    is then missing of the cell's mean is unspecific light: so the mean says little.

    Args:
        cell: the cell.
        localizations: its hpa_index values; {18} shows unspecific light alone.
        references: its reference channels, which microtubules and reticulum share.
        stain: the image's.

    Returns:
        (h, w) grey values.
    """
    rng = cell.rng
    own = float(np.exp(rng.normal(0, stain.cell_spread)))
    mean_grey = stain.mean_grey * own
    fog = cell.body * (1 - cell.nuclear) + stain.nuclear_background * cell.nuclear * cell.body
    fog = fog * np.clip(0.9 + 0.12 * cell.noise(5.0) + 0.1 * cell.noise(0.6), 0, None)
    fog = cell.blur(np.asarray(fog, np.float32), 0.7)
    fog_mean = max(float(fog[cell.cell].mean()), 1e-3)
    shown = sorted(localizations - {_NEGATIVE})
    if not shown:
        level = rng.uniform(0.08, 0.5) * mean_grey
        return np.asarray(fog * (level / fog_mean), np.float32)
    pattern = np.zeros(cell.shape_hw, np.float32)
    for hpa_index in shown:
        plane = _draw(cell, hpa_index, references)
        pattern += rng.uniform(0.55, 1.0) * plane / _top(plane)
    pattern /= _top(pattern)
    pattern_mean = max(float(pattern[cell.cell].mean()), 1e-4)
    peak = min(0.85 * mean_grey / pattern_mean, stain.peak_grey * own**0.5)
    missing = mean_grey - peak * pattern_mean
    level = min(missing, stain.background * peak)
    return np.asarray(peak * pattern + fog * (level / fog_mean), np.float32)


def _draw(cell: CellGeometry, hpa_index: int, references: References) -> Field:
    if hpa_index == _MICROTUBULES or (hpa_index == _SPINDLE and cell.mitotic):
        return references.microtubules * np.clip(0.9 + 0.15 * cell.noise(1.0), 0.2, None)
    if hpa_index == _RETICULUM:
        return references.reticulum * np.clip(0.9 + 0.15 * cell.noise(1.0), 0.2, None)
    return DRAWERS[hpa_index](cell)


def _top(plane: Field) -> float:
    """A robust brightest value: half-way from the 99.5th percentile to the maximum."""
    return max(0.5 * float(plane.max()) + 0.5 * float(np.quantile(plane, 0.995)), 1e-6)
