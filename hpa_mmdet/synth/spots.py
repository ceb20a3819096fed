"""Round spots of light, many at once."""

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.texture import Field, splat

_SIZES = 3


def draw_spots(
    cell: CellGeometry,
    places_yx: NDArray[np.float64],
    sigma_um: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> Field:
    """(h, w) light of Gaussian spots, each about as high as its weight.

    Args:
        cell: whose box they are drawn in.
        places_yx: (N, 2) in pixels of the box.
        sigma_um: (N,) deviations; rounded to three sizes, so that three blurs draw all.
        weights: (N,) heights; drawn from 0.4 to 1 when not given.
    """
    if weights is None:
        weights = cell.rng.uniform(0.4, 1.0, len(places_yx))
    plane = np.zeros(cell.shape_hw, np.float32)
    if not len(places_yx):
        return plane
    edges = np.quantile(sigma_um, np.linspace(0, 1, _SIZES + 1))
    group = np.clip(np.searchsorted(edges, sigma_um, side="right") - 1, 0, _SIZES - 1)
    for size in range(_SIZES):
        chosen = group == size
        if not chosen.any():
            continue
        sigma = float(sigma_um[chosen].mean())
        sigma_px = max(cell.px(sigma), 0.4)
        height = weights[chosen] * 2 * np.pi * sigma_px**2
        plane += cell.blur(splat(cell.shape_hw, places_yx[chosen], height), sigma)
    return plane
