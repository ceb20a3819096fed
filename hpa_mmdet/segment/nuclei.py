"""Nuclei from a DNA stain."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.morphology import remove_small_objects
from skimage.segmentation import relabel_sequential, watershed


def find_nuclei(dna: NDArray[np.float32], diameter: float) -> NDArray[np.int32]:
    """Label the nuclei of a DNA stain.

    Args:
        dna: (H, W) intensities, any scale.
        diameter: of a typical nucleus, in pixels of `dna`.

    Returns:
        (H, W) label image, ids from 1 without gaps.
    """
    level = np.log1p(cv2.GaussianBlur(dna, (0, 0), diameter / 40))
    local = cv2.GaussianBlur(level, (0, 0), 1.2 * diameter)
    floor = threshold_otsu(level)
    low = float(np.percentile(level, 10))
    mask = (level > local) & (level > low + 0.4 * (floor - low))
    mask = ndimage.binary_opening(ndimage.binary_fill_holes(mask), iterations=2)
    mask = remove_small_objects(mask, max_size=int(0.08 * diameter**2))
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    inside = cv2.GaussianBlur(inside, (0, 0), diameter / 16)
    peaks = peak_local_max(
        inside, min_distance=int(diameter / 3), labels=mask.astype(int), exclude_border=False
    )
    seeds = np.zeros(dna.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return relabel_sequential(watershed(-inside, seeds, mask=mask))[0].astype(np.int32)
