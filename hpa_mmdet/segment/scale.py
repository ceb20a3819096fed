"""How large the nuclei of an image are, so that nothing else counts in pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from hpa_mmdet.segment.filters import Plane, blur, distance_to_outside, resize
from hpa_mmdet.segment.per_label import spread_per_label

FIRST_LOOK_PX = 640  # pixels in which a first look is taken
FEW_PIXELS = 14.0  # nuclei smaller than this after shrinking are measured again at full size
DARK_SHARE = 0.08  # share of the brightest under which differences do not count
BLOCKS = 8  # of the shorter side, in which the background is looked for
TYPICAL_UM = 14.0  # diameter of a human nucleus in culture


def estimate_nucleus_diameter(dna: NDArray[np.generic]) -> float | None:
    """Estimate the diameter of a typical nucleus in pixels.

    The image is thresholded on a logarithmic scale, so that one bright object does not
    hide the others; the widths of the parts are weighted by area and brightness, so that
    debris hardly counts.

    Args:
        dna: (H, W) DNA stain, any scale.

    Returns:
        The diameter in pixels of `dna`, or None where nothing stands out.
    """
    shrink = max(1.0, max(dna.shape) / FIRST_LOOK_PX)
    found = _measure(dna, shrink)
    if found is not None and found < FEW_PIXELS * shrink and shrink > 1:
        found = _measure(dna, max(1.0, found / (2 * FEW_PIXELS)))
    return found


def _measure(dna: NDArray[np.generic], shrink: float) -> float | None:
    small = resize(dna.astype(np.float32), 1 / shrink)
    smooth = blur(small, 1.0)
    over = np.maximum(smooth - _tilt(smooth), 0)
    over = np.maximum(over - np.percentile(over, 10), 0)
    brightest = float(np.percentile(over, 99.9))
    if brightest <= 0:
        return None
    level = np.log(over + DARK_SHARE * brightest)
    mask = level > threshold_otsu(level)
    mask = ndimage.binary_fill_holes(mask)
    part, count = ndimage.label(mask)
    if not count:
        return None
    inside = distance_to_outside(mask)
    width = 2.0 * spread_per_label(inside, part.astype(np.int32), np.arange(1, count + 1)).largest
    area = np.bincount(part.ravel(), minlength=count + 1)[1:].astype(float)
    mass = np.bincount(part.ravel(), over.ravel(), minlength=count + 1)[1:]
    weight = np.sqrt(area * mass)  # so that neither much haze nor one bright spot rules
    order = np.argsort(width)
    half = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
    return float(width[order][min(half, count - 1)] * 1.15 * shrink)


def _tilt(plane: Plane) -> Plane:
    """Give the slope of the background: a plane through the dark of blocks, 0 at its lowest.

    Blocks that are brighter than half of the others say nothing of the background.
    """
    height, width = plane.shape
    side = max(1, min(height, width) // BLOCKS)
    y, x = np.mgrid[0 : height - side + 1 : side, 0 : width - side + 1 : side]
    dark = np.array(
        [
            np.percentile(plane[top : top + side, left : left + side], 10)
            for top, left in zip(y.ravel(), x.ravel(), strict=True)
        ]
    )
    terms = np.stack([y.ravel() + side / 2, x.ravel() + side / 2, np.ones(dark.size)], axis=1)
    fit = np.linalg.lstsq(terms, dark, rcond=None)[0]
    for _ in range(3):
        left_over = dark - terms @ fit
        some = left_over <= np.median(left_over)
        fit = np.linalg.lstsq(terms[some], dark[some], rcond=None)[0]
    rows, columns = np.arange(height)[:, None], np.arange(width)[None]
    tilted = fit[0] * rows + fit[1] * columns
    return np.asarray(tilted - tilted.min(), np.float32)
