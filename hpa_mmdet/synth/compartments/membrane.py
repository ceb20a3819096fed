"""The plasma membrane."""

import numpy as np

from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.strands import Walk, draw
from hpa_mmdet.synth.texture import Field


def draw_plasma_membrane(cell: CellGeometry) -> Field:
    """A bright uneven rim with short spikes, over the speckled surface of the cell."""
    rng = cell.rng
    away = cell.depth_um + cell.outside_um
    rim = np.exp(-((away / rng.uniform(0.2, 0.45)) ** 2))
    rim *= np.clip(0.8 + 0.4 * cell.noise(4.0) + 0.3 * cell.noise(1.0), 0.1, None)
    surface = cell.body * np.clip(0.7 + 0.35 * cell.noise(0.5) + 0.2 * cell.noise(5.0), 0, None)
    plane = rim + rng.uniform(0.08, 0.35) * surface
    if rng.random() < 0.75:  # spikes and retraction fibres that point outwards
        number = int(rng.integers(30, 160))
        border = np.exp(-((cell.depth_um - 0.8) ** 2) / 0.5) * cell.cell
        starts = cell.points(border.astype(np.float32), number)
        outwards = starts - cell.centre_yx
        angles = np.arctan2(outwards[:, 0], outwards[:, 1]) + rng.normal(0, 0.4, number)
        lengths = np.minimum(rng.gamma(2.0, rng.uniform(0.4, 1.0), number) + 0.5, 3.2)
        spikes = draw(cell, starts, angles, lengths, Walk(0.4, 0.08, 0.0, leave_cell=True))
        plane = plane + rng.uniform(0.5, 1.4) * spikes / max(float(spikes.max()), 1e-6)
    return plane.astype(np.float32)
