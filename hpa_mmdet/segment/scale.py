"""How large the nuclei of an image are, so that nothing else counts in pixels."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from hpa_mmdet.segment.filters import blur, distance_to_outside, resize
from hpa_mmdet.segment.per_label import spread_per_label

LONGEST_SIDE = 640  # pixels in which a first look is taken
FEW_PIXELS = 14.0  # nuclei smaller than this after shrinking are measured again at full size
DARK = 0.08  # share of the brightest under which differences do not count
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
    shrink = max(1.0, max(dna.shape) / LONGEST_SIDE)
    found = _measure(dna, shrink)
    if found is not None and found < FEW_PIXELS * shrink and shrink > 1:
        found = _measure(dna, max(1.0, found / (2 * FEW_PIXELS)))
    return found


def _measure(dna: NDArray[np.generic], shrink: float) -> float | None:
    small = resize(dna.astype(np.float32), 1 / shrink)
    smooth = blur(small, 1.0)
    over = np.maximum(smooth - np.percentile(smooth, 10), 0)
    brightest = float(np.percentile(over, 99.9))
    if brightest <= 0:
        return None
    level = np.log(over + DARK * brightest)
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
