"""Cells grown from their nuclei over the stains of the cell body.

H, W: picture height and width in pixels; axes are (row, column). `body` is brightness over
the background in units of the typical brightness beside a nucleus.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

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
    distance_to_outside,
    otsu_level,
    percentiles,
    resize_to,
    slope,
)
from hpa_mmdet.segment.per_label import median_per_label

FAINTEST_BODY = 0.08  # body below which there is no cell
OWN_SHARE = (0.1, 0.18)  # a cell ends between these shares of its own brightness
BODY_FLOOR = 0.03  # body added before the logarithm, so that empty background does not rule it
WAY_COST, WAY_POWER, DEAREST, EDGE_COST = 3.0, 3, 60.0, 2.0  # see `_price`
EDGE_BLUR = 1.5  # pixels; filaments are no edges of a cell
EVENNESS = 0.5  # how far ways are priced by brightness over that around, 0 to 1
STEP = 2  # the ways are found at this coarser grid
# a part that is farther from all nuclei than so many ways of a diameter, thicker than this
# radius (diameters) and larger than this (nuclei), belongs to a cell without a nucleus
FAR, THICK, LARGE = 2.5, 0.3, 1.0
FOREIGN_BODY = 0.3  # body of such a part
HANDICAP = 0.5  # ways of a diameter by which its ways must be shorter than those from nuclei


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
    ways = _find_ways(_price(body, allowed, diameter), nuclei, allowed)
    foreign = _foreign(ways, body, diameter) & (nuclei == 0)
    costs = _at_full_size(ways.costs, nuclei)
    cells = watershed(costs, nuclei, mask=allowed & ~foreign).astype(np.int32)

    own = median_per_label(body, np.where(beside, cells, 0), np.arange(count + 1))
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
        over = np.maximum(smooth - percentiles(smooth, 2)[0], 0)
        typical = float(percentiles(over[beside] if beside.any() else over, 60)[0])
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
    # a product: numpy takes a hundred times as long for other powers than 2
    dark = np.minimum(WAY_COST / math.prod([evened + 0.1] * WAY_POWER), DEAREST)
    edges = slope(np.log(blur(body, EDGE_BLUR) + 0.05).astype(np.float32)) * diameter
    return np.asarray(1 + dark + EDGE_COST * edges, np.float32)


class _Ways(NamedTuple):
    """On the coarse grid: prices (-1 where no way leads), and costs from the nearest nucleus."""

    prices: Plane
    costs: Plane


def _find_ways(price: Plane, nuclei: NDArray[np.int32], allowed: NDArray[np.bool_]) -> _Ways:
    """Give each pixel the cost of the cheapest way from a nucleus; inf where there is none."""
    size_wh = tuple(max(1, side // STEP) for side in price.shape)[::-1]
    coarse = cv2.resize(price, size_wh, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(allowed.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA) > 0
    starts = cv2.resize(nuclei.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST) > 0
    prices = np.where(inside, coarse, -1).astype(np.float32)
    return _Ways(prices, _costs_from(starts, prices))


def _costs_from(starts: NDArray[np.bool_], prices: Plane) -> Plane:
    """Give the cost of the cheapest way to each pixel; 0 at the starts, inf where none leads."""
    if not starts.any():
        return np.full(prices.shape, np.inf, np.float32)
    # every way leaves by a rim, and the search takes time for each start
    square = np.ones((3, 3), np.uint8)
    within = cv2.erode(starts.astype(np.uint8), square, borderValue=1) > 0
    search = MCP_Geometric(np.where(within, -1, prices))
    costs = np.asarray(search.find_costs(np.argwhere(starts & ~within))[0], np.float32)
    costs[starts] = 0
    return costs


def _at_full_size(costs: Plane, nuclei: NDArray[np.int32]) -> Plane:
    """Enlarge the costs of ways; without any way, distance rules."""
    reached = np.isfinite(costs)
    if not reached.any():
        return distance_outside_of(nuclei)
    fine = resize_to(np.where(reached, costs, costs[reached].max()), nuclei.shape)
    fine[nuclei > 0] = 0
    return fine


def _foreign(ways: _Ways, body: Plane, diameter: float) -> NDArray[np.bool_]:
    """Tell the pixels of cells whose nucleus is not seen: beyond the border, or too faint.

    Such a cell is a bright part that is far from every nucleus; the ends of long cells are
    thinner. Its core is a start of ways like a nucleus, so that the seam between it and its
    neighbours, not the distance alone, is where they end.
    """
    bright = cv2.resize(body, ways.costs.shape[::-1], interpolation=cv2.INTER_AREA) > FOREIGN_BODY
    typical = (1 + WAY_COST / 1.1**WAY_POWER) * diameter / STEP
    far = np.isfinite(ways.costs) & (ways.costs > FAR * typical) & bright
    radius = THICK * diameter / STEP
    depth = distance_to_outside(far)
    core = depth > radius
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(radius) + 1,) * 2)
    _, parts = cv2.connectedComponents(cv2.dilate(core.astype(np.uint8), brush))
    large = np.bincount(parts.ravel()) >= LARGE * np.pi / 4 * (diameter / STEP) ** 2
    large[0] = False
    starts = core & large[parts]
    if not starts.any():
        return np.zeros(body.shape, bool)
    own = np.where(np.isfinite(ways.costs), ways.costs, 0)
    nearer = _costs_from(starts, ways.prices) + HANDICAP * typical < own
    return np.asarray(resize_to(nearer.astype(np.float32), body.shape) > 0.5)


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
