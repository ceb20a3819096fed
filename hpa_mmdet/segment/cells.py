"""Cells grown from their nuclei over the stains of the cell body."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed


def grow_cells(
    nuclei: NDArray[np.int32], bodies: Sequence[NDArray[np.float32]], diameter: float
) -> NDArray[np.int32]:
    """Grow each nucleus into its cell.

    Args:
        nuclei: (H, W) label image.
        bodies: (H, W) stains of the cell body (microtubules, ER), any scale.
        diameter: of a typical nucleus, in pixels.

    Returns:
        (H, W) label image with the ids of `nuclei`.
    """
    level = np.log1p(cv2.GaussianBlur(np.max(bodies, axis=0), (0, 0), diameter / 25))
    mask = (level > threshold_otsu(level)) | (nuclei > 0)
    mask = ndimage.binary_opening(ndimage.binary_fill_holes(mask), iterations=2) | (nuclei > 0)
    away = cv2.distanceTransform((nuclei == 0).astype(np.uint8), cv2.DIST_L2, 5)
    return watershed(away / diameter - 0.5 * level, nuclei, mask=mask).astype(np.int32)
