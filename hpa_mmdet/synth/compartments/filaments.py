"""The cytoskeleton: microtubules, intermediate filaments, actin, spindle, centrosome."""

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.synth.geometry import CellGeometry, spread_of
from hpa_mmdet.synth.spots import draw_spots
from hpa_mmdet.synth.strands import Points, Walk, draw
from hpa_mmdet.synth.texture import Field, splat


def draw_microtubules(cell: CellGeometry) -> Field:
    """Long curved filaments, dense around the nucleus, that bend along the cell's edge."""
    if cell.mitotic:
        return draw_spindle(cell)
    rng = cell.rng
    area_um2 = float(cell.cell.sum()) * cell.pixel_um**2
    number = int(np.clip(area_um2 * cell.line.tubules_per_um2, 20, 500))
    near = cell.cytoplasm * (0.06 + np.exp(-cell.from_nucleus_um / 3.5))
    starts = cell.points(near.astype(np.float32), number)
    outwards = starts - cell.centre_yx
    radial = np.arctan2(outwards[:, 0], outwards[:, 1]) + rng.normal(0, 0.8, number)
    along = cell.axis_rad + np.pi * (np.cos(radial - cell.axis_rad) < 0)
    along = along + rng.normal(0, 0.35, number)
    angles = np.where(rng.random(number) < 0.25 + 0.5 * cell.elongation, along, radial)
    lengths = rng.uniform(5, 34, number)
    around = draw(cell, starts, angles, lengths, Walk(1.1, 0.13, 0.9))
    few = max(number // 4, 4)  # over and under the nucleus, out of focus
    over = cell.points(cell.body, few)
    across = draw(
        cell, over, cell.axis_rad + rng.normal(0, 0.7, few), rng.uniform(5, 20, few),
        Walk(0.9, 0.1, 1.0, avoid_nucleus=False),
    )  # fmt: skip
    plane = around + cell.line.over_nucleus * across
    dense = np.exp(-cell.from_nucleus_um / 5) * np.clip(1 + 0.3 * cell.noise(2.5), 0, None)
    fill = cell.cytoplasm * dense + cell.line.over_nucleus * cell.nuclear
    haze = cell.blur(plane, 0.8) + np.float32(plane.mean()) * fill
    fade = (0.25 + 0.75 * cell.body) * (0.45 + 0.55 * np.exp(-cell.from_nucleus_um / 9))
    return np.asarray((plane + cell.line.tubule_haze * haze) * fade, np.float32)


def draw_intermediate_filaments(cell: CellGeometry) -> Field:
    """A mesh of wavy filaments, thick around the nucleus, with some bundles."""
    rng = cell.rng
    grain = rng.uniform(2.2, 3.6)
    mesh = np.exp(-((cell.noise(grain) / 0.16) ** 2))
    mesh += 0.8 * np.exp(-((cell.noise(grain * 0.7) / 0.16) ** 2))
    mesh += 0.6 * np.exp(-((cell.noise(grain * 0.5) / 0.2) ** 2))
    mesh += 0.5 * np.exp(-((cell.noise(grain * 1.5) / 0.1) ** 2))
    dense = np.exp(-cell.from_nucleus_um / rng.uniform(4, 12))
    where = cell.body * (0.2 + 0.8 * dense) * (1 - 0.75 * cell.nuclear)
    number = int(rng.integers(8, 30))
    starts = cell.points(where.astype(np.float32), number)
    angles = cell.axis_rad + rng.normal(0, 0.5, number) + np.pi * rng.integers(0, 2, number)
    bundles = draw(cell, starts, angles, rng.uniform(4, 16, number), Walk(0.7, 0.25, 1.0), 0.14)
    bundles /= max(float(bundles.max()), 1e-6)
    return (where * (0.12 + mesh) + 0.8 * bundles * cell.body).astype(np.float32)


def draw_actin(cell: CellGeometry) -> Field:
    """Straight parallel stress fibres through the whole cell and a bright cortex."""
    rng = cell.rng
    area_um2 = float(cell.cell.sum()) * cell.pixel_um**2
    number = int(np.clip(area_um2 * rng.uniform(0.03, 0.08), 10, 90))
    starts = cell.points(cell.body, number)
    angles = cell.axis_rad + rng.normal(0, rng.uniform(0.06, 0.25), number)
    straight = Walk(1.0, 0.02, 0.0, avoid_nucleus=False)
    lengths = rng.uniform(5, 18, number)
    both = (np.concatenate([starts, starts]), np.concatenate([angles, angles + np.pi]))
    fibres = draw(
        cell, *both, np.concatenate([lengths, lengths]), straight, rng.uniform(0.09, 0.17)
    )
    fibres /= max(float(fibres.max()), 1e-6)
    cortex = np.exp(-((cell.depth_um / rng.uniform(0.4, 0.8)) ** 2)) * cell.cell
    cortex *= np.clip(0.6 + 0.4 * cell.noise(5.0), 0, None)
    level = rng.uniform(0.08, 0.25) * (1 - 0.5 * cell.nuclear)
    return (fibres + rng.uniform(0.15, 0.5) * cortex + level * cell.body).astype(np.float32)


def draw_spindle(cell: CellGeometry) -> Field:
    """Two poles and the fibres that run from them to the chromosome plate between."""
    rng = cell.rng
    poles = spindle_poles(cell)
    towards = poles[::-1] - poles
    base = np.arctan2(towards[:, 0], towards[:, 1])
    length_um = float(np.hypot(*towards[0])) * cell.pixel_um
    per_pole = 45
    starts = np.repeat(poles, per_pole, axis=0) + rng.normal(0, cell.px(0.25), (2 * per_pole, 2))
    spread = np.tile(np.linspace(-0.8, 0.8, per_pole), 2) + rng.normal(0, 0.04, 2 * per_pole)
    bow = _bowed(cell, starts, np.repeat(base, per_pole), spread, length_um * 0.56)
    stars = 12  # astral fibres go out to the border
    outwards = np.repeat(base + np.pi, stars) + rng.uniform(-1.6, 1.6, 2 * stars)
    astral = draw(
        cell, np.repeat(poles, stars, axis=0), outwards, rng.uniform(1.5, 5, 2 * stars),
        Walk(0.4, 0.1, 0.5, avoid_nucleus=False),
    )  # fmt: skip
    bright = draw_spots(cell, poles, np.array([0.45, 0.45]), np.array([1.0, 1.0]))
    bow /= max(float(bow.max()), 1e-6)
    astral /= max(float(astral.max()), 1e-6)
    return (bow + 0.35 * astral + 0.8 * bright + 0.2 * cell.body).astype(np.float32)


def draw_centrosome(cell: CellGeometry) -> Field:
    """One or two tiny bright dots beside the nucleus; in a dividing cell one at each pole."""
    rng = cell.rng
    if cell.mitotic:
        places = spindle_poles(cell)
    else:
        turn = rng.uniform(0, 2 * np.pi)
        apart = cell.px(rng.uniform(0.3, 0.7)) * np.array([np.sin(turn), np.cos(turn)])
        places = np.stack([cell.centrosome_yx - apart, cell.centrosome_yx + apart])
        places = places[: 1 if rng.random() < 0.4 else 2]
    sigma = rng.uniform(0.18, 0.32, len(places))
    dots = draw_spots(cell, places, sigma, rng.uniform(0.75, 1.0, len(places)))
    around = 0.12 * draw_spots(cell, places, sigma * 4, np.ones(len(places)))
    return dots + around + np.float32(rng.uniform(0.01, 0.07)) * cell.body


def spindle_poles(cell: CellGeometry) -> Points:
    """(2, 2) the poles of a dividing cell: on either side of its chromosome plate."""
    across = spread_of(cell.nucleus)[0] + np.pi / 2  # the plate's short axis
    half_px = min(cell.px(4.2), 0.7 * float(cell.depth_um.max()) / cell.pixel_um)
    away = half_px * np.array([np.sin(across), np.cos(across)])
    return np.stack([cell.centre_yx - away, cell.centre_yx + away])


def _bowed(
    cell: CellGeometry,
    starts: Points,
    base: NDArray[np.float64],
    spread: NDArray[np.float64],
    length_um: float,
) -> Field:
    """Fibres that leave a pole at `spread` radians off `base` and bend back towards it."""
    along = np.linspace(0, 1, 48)[:, None]
    turned = base + spread * (1 - 0.9 * along)
    stride = cell.px(length_um) / 48
    y = starts[:, 0] + np.cumsum(np.sin(turned), axis=0) * stride
    x = starts[:, 1] + np.cumsum(np.cos(turned), axis=0) * stride
    points = np.stack([y.ravel(), x.ravel()], axis=1)
    return cell.blur(splat(cell.shape_hw, points, np.ones(len(points))), 0.15)
