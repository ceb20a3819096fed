"""The cytoplasm: cytosol, reticulum, Golgi, mitochondria, vesicles, aggresome."""

import numpy as np

from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.spots import draw_spots
from hpa_mmdet.synth.strands import Walk, draw
from hpa_mmdet.synth.texture import Field, soft_step


def draw_cytosol(cell: CellGeometry) -> Field:
    """An even fill of the cytoplasm, thinner at the edge, the nucleus darker, some holes."""
    rng = cell.rng
    grain = 0.85 + 0.14 * cell.noise(4.0) + 0.1 * cell.noise(1.2) + 0.1 * cell.noise(0.5)
    near = 0.7 + 0.3 * np.exp(-cell.from_nucleus_um / 8)
    plane = (cell.cytoplasm + rng.uniform(0.1, 0.45) * cell.nuclear) * near
    plane = plane * np.clip(grain, 0.2, None)
    if rng.random() < 0.4:
        holes = cell.points(cell.cytoplasm * np.exp(-cell.from_nucleus_um / 6), 8)
        plane *= 1 - 0.8 * np.clip(draw_spots(cell, holes, rng.uniform(0.3, 0.9, 8)), 0, 1)
    return plane.astype(np.float32)


def draw_reticulum(cell: CellGeometry) -> Field:
    """A net of sheets and tubes, dense around the nucleus and thinner outwards."""
    rng = cell.rng
    net = np.exp(-((cell.noise(2.4) / 0.45) ** 2)) + np.exp(-((cell.noise(1.3) / 0.4) ** 2))
    contrast = cell.line.net_contrast
    net = 1 - contrast + contrast * (0.3 + 0.9 * net)
    grain = np.clip(1 + 0.3 * cell.noise(0.5) + 0.18 * cell.noise(1.0), 0.1, None)
    dense = np.exp(-cell.from_nucleus_um / (cell.line.net_reach_um * rng.uniform(0.7, 1.3)))
    sheet = np.clip(0.8 + 0.25 * cell.noise(7.0), 0.15, None)
    plane = cell.cytoplasm * (0.2 + 0.8 * dense) * sheet * net * grain
    rim = np.exp(-((cell.nucleus_depth_um + cell.from_nucleus_um) ** 2) / 0.3)
    inside = (0.05 + 0.6 * cell.line.over_nucleus) * grain * cell.nuclear
    plane = plane + rng.uniform(0.05, 0.35) * rim * cell.body + inside
    return plane.astype(np.float32)


def draw_golgi(cell: CellGeometry) -> Field:
    """Ribbons in a crescent at one side of the nucleus, a few vesicles around them."""
    rng = cell.rng
    rows, columns = np.ogrid[: cell.shape_hw[0], : cell.shape_hw[1]]
    from_centre = np.hypot(rows - cell.centrosome_yx[0], columns - cell.centrosome_yx[1])
    reach = rng.uniform(2.5, 5.0)
    place = np.exp(-((from_centre * cell.pixel_um / reach) ** 2)) * cell.cytoplasm
    place = (place * np.exp(-cell.from_nucleus_um / 2.5)).astype(np.float32)
    number = int(rng.integers(12, 40))
    starts = cell.points(place, number)
    outwards = starts - cell.centre_yx
    tangent = np.arctan2(outwards[:, 0], outwards[:, 1]) + np.pi / 2
    angles = tangent + rng.normal(0, 0.7, number)
    lengths = rng.uniform(0.5, 3.0, number)
    ribbons = draw(cell, starts, angles, lengths, Walk(0.35, 0.5, 0.5), rng.uniform(0.13, 0.22))
    ribbons *= np.clip(0.8 + 0.4 * cell.noise(0.6), 0.1, None)
    ribbons /= max(float(ribbons.max()), 1e-6)
    few = int(rng.integers(3, 25))
    around = cell.points(cell.cytoplasm * np.exp(-from_centre * cell.pixel_um / 8), few)
    dots = draw_spots(cell, around, rng.uniform(0.1, 0.2, few))
    return (ribbons + rng.uniform(0.1, 0.5) * dots + 0.02 * cell.body).astype(np.float32)


def draw_mitochondria(cell: CellGeometry) -> Field:
    """Short worms that lie around the nucleus and thin out towards the edge."""
    rng = cell.rng
    area_um2 = float(cell.cell.sum()) * cell.pixel_um**2
    number = int(np.clip(area_um2 * rng.uniform(0.1, 0.3), 15, 400))
    place = cell.cytoplasm * np.exp(-cell.from_nucleus_um / rng.uniform(3, 9))
    starts = cell.points(place, number)
    outwards = starts - cell.centre_yx
    angles = np.arctan2(outwards[:, 0], outwards[:, 1]) + rng.normal(0, 0.9, number)
    lengths = rng.gamma(2.5, rng.uniform(0.4, 1.3), number) + 0.5
    worms = draw(cell, starts, angles, lengths, Walk(0.4, 0.32, 0.8), rng.uniform(0.11, 0.18))
    return worms + np.float32(0.03 * worms.max()) * cell.body


def draw_vesicles(cell: CellGeometry) -> Field:
    """Scattered round spots of different size in the cytoplasm, in some cells rings."""
    rng = cell.rng
    number = int(np.exp(rng.uniform(np.log(20), np.log(220))))
    place = cell.cytoplasm * np.exp(-cell.from_nucleus_um / rng.uniform(4, 20))
    places = cell.points(place, number)
    sigma = rng.uniform(0.1, 0.16, number) + rng.gamma(1.5, rng.uniform(0.02, 0.1), number)
    spots = draw_spots(cell, places, sigma, rng.beta(1.2, 1.5, number) + 0.15)
    if rng.random() < 0.2:  # lipid droplets: dark inside
        spots -= 0.9 * draw_spots(cell, places, sigma * 0.55, np.ones(number))
    return np.clip(spots, 0, None) + np.float32(rng.uniform(0.01, 0.08)) * cell.body


def draw_aggresome(cell: CellGeometry) -> Field:
    """One or two large round lumps near the nucleus."""
    rng = cell.rng
    number = 1 if rng.random() < 0.75 else 2
    near = soft_step(cell.depth_um - 1.0, 0.5) * np.exp(-((cell.from_nucleus_um - 1.5) ** 2) / 6)
    plane = np.zeros(cell.shape_hw, np.float32)
    wobble = cell.noise(2.0) * 0.07
    for y, x in cell.points((near * cell.cytoplasm).astype(np.float32), number):
        lump = cell.disc(y, x, rng.uniform(0.9, 2.2), wobble)
        plane = np.maximum(plane, lump * rng.uniform(0.7, 1))
    plane *= np.clip(0.9 + 0.1 * cell.noise(0.6), 0, None)
    return plane + np.float32(rng.uniform(0.01, 0.1)) * cell.body
