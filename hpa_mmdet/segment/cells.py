"""Cells grown from their nuclei over the stains of the cell body.

H, W: picture height and width in pixels; axes are (row, column). `body` is brightness over
the background in units of the typical brightness beside a nucleus.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.graph import MCP_Geometric
from skimage.segmentation import watershed

from hpa_mmdet.segment.filters import (
    Plane,
    blur,
    distance_outside_of,
    otsu_level,
    resize_to,
    slope,
)
from hpa_mmdet.segment.per_label import spread_per_label

FAINTEST_BODY = 0.08  # body below which there is no cell
OWN_SHARE = (0.1, 0.25)  # a cell ends between these shares of its own brightness
BODY_FLOOR = 0.03  # body added before the logarithm, so that empty background does not rule it
WAY_COST, WAY_POWER, DEAREST, EDGE_COST = 3.0, 3.0, 60.0, 2.0  # see `_price`
EVENNESS = 0.5  # how far ways are priced by brightness over that around, 0 to 1
STEP = 2  # the ways are found at this coarser grid


def grow_cells(
    nuclei: NDArray[np.int32], stains: Sequence[Plane], diameter: float
) -> NDArray[np.int32]:
    """Grow each nucleus into its cell.

    Where cells touch, a pixel goes to the nucleus from which the way is cheapest. Bright
    ways are cheap, so that a long cell keeps its ends and the dark seam between two cells
    parts them; steps in brightness are dear, so that a bright cell does not take a dim
    neighbour's part. Where they end in the background, a threshold over the whole picture
    rules, corrected by each cell's own brightness.

    Args:
        nuclei: (H, W) label image.
        stains: (H, W) stains of the cell body (microtubules, ER), any scale.
        diameter: of a typical nucleus, in pixels.

    Returns:
        (H, W) label image with the ids of `nuclei`; cell k holds nucleus k.
    """
    count = int(nuclei.max(initial=0))
    if not count:
        return nuclei.copy()
    from_nuclei = distance_outside_of(nuclei)
    beside = (from_nuclei > 0) & (from_nuclei < 0.35 * diameter)
    body = _body(stains, beside)
    allowed = (body > FAINTEST_BODY) | (nuclei > 0)
    costs = _way_costs(_price(body, allowed, diameter), nuclei, allowed)
    cells = watershed(costs, nuclei, mask=allowed).astype(np.int32)

    own = spread_per_label(body, np.where(beside, cells, 0), np.arange(count + 1)).median
    level = np.log(body + BODY_FLOOR)
    otsu = otsu_level(level)
    whole_picture = 0.0 if otsu is None else float(np.exp(otsu)) - BODY_FLOOR
    least = np.clip(whole_picture, OWN_SHARE[0] * own, OWN_SHARE[1] * own)
    cells = np.where((body > least[cells]) | (nuclei > 0), cells, 0).astype(np.int32)
    return _round_off(cells, nuclei)


def _body(stains: Sequence[Plane], beside: NDArray[np.bool_]) -> Plane:
    planes = []
    for stain in stains:
        smooth = blur(stain, 1.5)
        over = np.maximum(smooth - np.percentile(smooth, 2), 0)
        typical = float(np.percentile(over[beside] if beside.any() else over, 60))
        planes.append(over / max(typical, 1e-3))
    return np.asarray(np.mean(planes, axis=0), np.float32)


def _price(body: Plane, allowed: NDArray[np.bool_], diameter: float) -> Plane:
    """Give the price of a way over each pixel, per pixel of its length.

    It is 1, and WAY_COST / (b + 0.1)^WAY_POWER but at most DEAREST, and EDGE_COST for each
    nucleus' diameter times the slope of the logarithm of the brightness. `b` is brightness
    over the EVENNESS-th power of its mean around, so that a dim cell's ways are not all dear.

    Source:
        Prices that rise at steps in brightness: Jones et al., Voronoi-based segmentation of
        cells on image manifolds, CVBIA 2005.
    """
    weight = allowed.astype(np.float32)
    around = blur(body * weight, diameter) / np.maximum(blur(weight, diameter), 1e-3)
    evened = body / np.maximum(around, 1e-3) ** EVENNESS
    dark = np.minimum(WAY_COST / (evened + 0.1) ** WAY_POWER, DEAREST)
    edges = slope(np.log(body + 0.05).astype(np.float32)) * diameter
    return np.asarray(1 + dark + EDGE_COST * edges, np.float32)


def _way_costs(price: Plane, nuclei: NDArray[np.int32], allowed: NDArray[np.bool_]) -> Plane:
    """Give each pixel the cost of the cheapest way from a nucleus."""
    shape_hw = tuple(max(1, side // STEP) for side in price.shape)
    size_wh = shape_hw[::-1]
    coarse = cv2.resize(price, size_wh, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(allowed.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA) > 0
    starts = cv2.resize(nuclei.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST) > 0
    if not starts.any():
        return distance_outside_of(nuclei)
    costs, _ = MCP_Geometric(np.where(inside, coarse, -1)).find_costs(np.argwhere(starts))
    reached = np.isfinite(costs)
    costs = np.where(reached, costs, costs[reached].max())
    fine = resize_to(costs.astype(np.float32), price.shape)
    fine[nuclei > 0] = 0
    return fine


def _round_off(cells: NDArray[np.int32], nuclei: NDArray[np.int32]) -> NDArray[np.int32]:
    """Keep of each cell the part around its nucleus, without spurs and holes."""
    rounded = np.zeros_like(cells)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    margin = 4
    # beyond the border the picture is mirrored, so that cells are not rounded off there
    wide_cells, wide_nuclei = (
        np.pad(label_image, margin, mode="reflect") for label_image in (cells, nuclei)
    )
    for at, box in enumerate(ndimage.find_objects(cells), start=1):
        if box is None:
            continue
        own = cells[box] == at
        wider = tuple(slice(side.start, side.stop + 2 * margin) for side in box)
        cell = (wide_cells[wider] == at).astype(np.uint8)
        nucleus = (wide_nuclei[wider] == at).astype(np.uint8)
        cell = cv2.morphologyEx(cell, cv2.MORPH_OPEN, brush) | nucleus
        _, parts = cv2.connectedComponents(cell, connectivity=4)
        around = np.bincount(parts[nucleus > 0])
        largest = (parts == int(around.argmax())).astype(np.uint8)
        outlines, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(largest, outlines, -1, 1, cv2.FILLED)
        filled = largest[margin:-margin, margin:-margin] > 0
        free = own | ((cells[box] == 0) & (rounded[box] == 0))
        rounded[box][filled & free] = at
    return rounded
