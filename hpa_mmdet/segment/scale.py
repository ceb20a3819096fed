"""How large the nuclei of an image are, so that nothing else counts in pixels."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

LONGEST_SIDE = 640  # pixels in which a first look is taken
FEW_PIXELS = 14.0  # nuclei smaller than this after shrinking are measured again at full size
TYPICAL_UM = 14.0  # diameter of a human nucleus in culture


def estimate_nucleus_diameter(dna: NDArray[np.integer]) -> float | None:
    """Estimate the diameter of a typical nucleus in pixels.

    The image is thresholded on a logarithmic scale, so that one bright object does not
    hide the others; the widths of the parts are weighted by their areas, so that debris
    hardly counts.

    Args:
        dna: (H, W) DNA stain, any scale.

    Returns:
        The diameter in pixels of `dna`, or None where nothing stands out.
    """
    shrink = max(1.0, max(dna.shape) / LONGEST_SIDE)
    found = _measure(dna, shrink)
    if found is not None and found < FEW_PIXELS * shrink and shrink > 1:
        found = _measure(dna, max(1.0, shrink * found / shrink / (2 * FEW_PIXELS)))
    return found


def _measure(dna: NDArray[np.integer], shrink: float) -> float | None:
    small = resize_area(dna.astype(np.float32), 1 / shrink)
    level = np.log1p(cv2.GaussianBlur(small, (0, 0), 1.0))
    if np.ptp(level) < 1e-3:
        return None
    mask = level > threshold_otsu(level)
    mask = ndimage.binary_fill_holes(mask)
    part, count = ndimage.label(mask)
    if not count:
        return None
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    width = 2.0 * ndimage.maximum(inside, part, np.arange(1, count + 1))
    area = np.bincount(part.ravel(), minlength=count + 1)[1:].astype(float)
    order = np.argsort(width)
    half = np.searchsorted(np.cumsum(area[order]), area.sum() / 2)
    return float(width[order][min(half, count - 1)] * 1.15 * shrink)


def resize_area(plane: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Resize (H, W) by `factor`, averaging where it shrinks; each side keeps a pixel."""
    if factor == 1:
        return plane
    height, width = (max(1, round(side * factor)) for side in plane.shape)
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=way), np.float32)


def resize_labels(label_image: NDArray[np.int32], shape_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Resize a label image to `shape_hw`, nearest neighbour."""
    if label_image.shape == shape_hw:
        return label_image
    size_wh = shape_hw[::-1]
    resized = cv2.resize(label_image.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST)
    return resized.astype(np.int32)
