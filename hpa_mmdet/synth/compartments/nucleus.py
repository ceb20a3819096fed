"""The nucleus: nucleoplasm, membrane, nucleoli, fibrillar centers, speckles, bodies."""

import numpy as np

from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.spots import draw_spots
from hpa_mmdet.synth.texture import Field, soft_step


def draw_nucleoplasm(cell: CellGeometry) -> Field:
    """An even, finely grained fill of the nucleus, its nucleoli dark."""
    grain = 0.8 + 0.13 * cell.noise(1.5) + 0.09 * cell.noise(0.5)
    dark = cell.rng.uniform(0.5, 0.9)
    return cell.nuclear * np.clip(grain, 0.2, None) * (1 - dark * cell.nucleoli)


def draw_nuclear_membrane(cell: CellGeometry) -> Field:
    """A thin bright rim around the nucleus, over a weaker fill; folds cross some nuclei."""
    rng = cell.rng
    away = cell.nucleus_depth_um + cell.from_nucleus_um
    rim = np.exp(-((away / rng.uniform(0.15, 0.28)) ** 2)) * cell.cell
    rim *= np.clip(1 + 0.25 * cell.noise(2.0) + 0.15 * cell.noise(0.6), 0.2, None)
    plane = rim + rng.uniform(0.1, 0.4) * draw_nucleoplasm(cell)
    if rng.random() < 0.3:  # a fold: a ridge of smooth noise inside the nucleus
        ridge = np.exp(-((cell.noise(9.0) / 0.05) ** 2))
        plane = plane + rng.uniform(0.3, 0.7) * ridge * cell.nuclear
    return plane.astype(np.float32)


def draw_nucleoli(cell: CellGeometry) -> Field:
    """Bright nucleoli of uneven outline, the rest of the nucleus faint."""
    grain = np.clip(0.85 + 0.15 * cell.noise(0.7), 0.2, None).astype(np.float32)
    faint = np.float32(cell.rng.uniform(0.03, 0.2))
    return cell.nucleoli * grain + faint * draw_nucleoplasm(cell)


def draw_fibrillar_centers(cell: CellGeometry) -> Field:
    """Clusters of tiny bright spots inside the nucleoli."""
    rng = cell.rng
    per_nucleus = int(rng.integers(5, 16))
    places = cell.points(cell.nucleoli**2, per_nucleus)
    spots = draw_spots(cell, places, rng.uniform(0.12, 0.24, per_nucleus))
    faint = np.float32(rng.uniform(0.02, 0.15))
    fill = faint * (cell.nucleoli + np.float32(0.3) * cell.nuclear)
    return np.asarray(spots + fill, np.float32)


def draw_speckles(cell: CellGeometry) -> Field:
    """Ten to forty irregular blots of different size, outside the nucleoli, over a fill."""
    rng = cell.rng
    rough = cell.noise(rng.uniform(0.9, 1.5)) + np.float32(0.4) * cell.noise(0.6)
    blots = soft_step(rough - rng.uniform(0.75, 1.15), 0.45)
    inner = soft_step(cell.nucleus_depth_um - 0.6, 0.4)
    fill = rng.uniform(0.12, 0.35) * draw_nucleoplasm(cell)
    return blots * inner * (1 - cell.nucleoli) + fill


def draw_nuclear_bodies(cell: CellGeometry) -> Field:
    """Two to ten round, sharp dots, outside the nucleoli, over a faint fill."""
    rng = cell.rng
    number = int(rng.integers(2, 11))
    inner = soft_step(cell.nucleus_depth_um - 0.7, 0.3) * (1 - cell.nucleoli)
    dots = draw_spots(cell, cell.points(inner, number), rng.uniform(0.16, 0.38, number))
    return dots + rng.uniform(0.02, 0.16) * draw_nucleoplasm(cell)
