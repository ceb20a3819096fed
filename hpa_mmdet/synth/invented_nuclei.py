"""Nuclei for cells of which only the outline is known.

H, W: image height and width in pixels.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from hpa_mmdet.synth.geometry import Mask, spread_of
from hpa_mmdet.synth.outlines import make_plate, paint_profile, wobbly_ellipse
from hpa_mmdet.synth.shares import LocalizationSet

_SPINDLE = 11
_CLEAR_UM = 0.7  # cytoplasm between a nucleus and the cell's border


def invent_nuclei(
    rng: np.random.Generator,
    cells: NDArray[np.integer],
    localizations: Mapping[int, LocalizationSet],
    pixel_um: float,
) -> NDArray[np.uint16]:
    """Put a nucleus into every cell, deep inside and along the cell's long axis.

    Args:
        rng: decides.
        cells: (H, W) label image.
        localizations: what each cell shows; one with a spindle gets a plate of chromosomes.
        pixel_um: side of a pixel.

    Returns:
        (H, W) label image with the ids of `cells`; no nucleus is empty.
    """
    nuclei = np.zeros(cells.shape, np.uint16)
    boxes = find_objects(cells)
    for cell_id in sorted(localizations):
        box = boxes[cell_id - 1]
        mask = cells[box] == cell_id
        plate = _SPINDLE in localizations[cell_id]
        nuclei[box][_nucleus(rng, mask, pixel_um, plate=plate)] = cell_id
    return nuclei


def _nucleus(rng: np.random.Generator, mask: Mask, pixel_um: float, *, plate: bool) -> Mask:
    framed = np.pad(mask, 1, mode="edge").astype(np.uint8)  # the picture's edge is no border
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1] * pixel_um
    room = float(depth.max())
    axis, elongation = spread_of(mask)
    area_um2 = float(mask.sum()) * pixel_um**2
    deep = np.argwhere(depth >= room - rng.uniform(0.05, 0.25) * room)
    centre = deep[int(rng.integers(len(deep)))] * pixel_um
    if plate:
        profile = make_plate(rng, max(min(room, 9.0), 2.0))
    else:
        wanted = 7.4 * (area_um2 / 840) ** 0.2 * float(np.exp(rng.normal(0, 0.09)))
        radius = max(min(wanted, 0.92 * room), 1.0)
        oval = float(np.exp(abs(rng.normal(0, 0.12)) + 0.1 + 0.35 * elongation))
        profile = wobbly_ellipse(rng, radius, oval, axis + rng.normal(0, 0.15))
    inside = paint_profile(profile, centre, mask.shape, pixel_um) & mask
    clear = inside & (depth > min(_CLEAR_UM, 0.3 * room))
    _, parts = cv2.connectedComponents(clear.astype(np.uint8), connectivity=4)
    if not clear.any():
        return np.asarray(depth >= room)
    return np.asarray(parts == np.bincount(parts[parts > 0]).argmax())
