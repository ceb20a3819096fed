"""Tell nuclei from what else shines in a DNA stain: debris, blur from other planes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.masks.border import ids_at_border
from hpa_mmdet.segment.filters import slope, spread_labels
from hpa_mmdet.segment.per_label import median_per_label

# each relative to the typical nucleus of the same picture
FAINTEST_NUCLEUS = 0.22  # median brightness
BLUREST = 0.4  # sharpness of the edge
SMALLEST_NUCLEUS = 0.3  # area, of one that the border does not cut
UNEVENEST = 0.55  # sd of the brightness inside over its median, not at the border


def drop_debris(
    label_image: NDArray[np.int32], bright: NDArray[np.float32], diameter: float
) -> NDArray[np.int32]:
    """Drop what is much fainter, blurred, smaller or more uneven than the typical nucleus.

    The typical nucleus is the median over all, weighted by area, so that debris hardly counts
    however much of it there is; what the border cuts counts half. Brightness is that over the
    ring around, so that a nucleus in a halo is not taken for a blurred one, nor the others for
    faint ones.

    Args:
        label_image: (H, W), ids from 1.
        bright: (H, W) brightness over the background.
        diameter: of a typical nucleus, in pixels.

    Returns:
        (H, W) label image with fewer ids.
    """
    areas = np.bincount(label_image.ravel(), minlength=1)
    ids = 1 + np.flatnonzero(areas[1:])
    if not len(ids):
        return label_image
    edges = cv2.morphologyEx(
        label_image.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)
    )
    edge_labels = np.where(edges > 0, label_image, 0)
    area = areas[ids].astype(float)
    median = np.maximum(median_per_label(bright, label_image, ids), 1e-6)
    uneven = _sd_inside(bright, np.where(edges > 0, 0, label_image), ids) / median
    contrast = np.maximum(median - ring_median(bright, label_image, ids, diameter), 1e-6)
    sharp = median_per_label(slope(bright), edge_labels, ids) * diameter / contrast
    at_border = np.isin(ids, ids_at_border(label_image))
    # what is larger than a nucleus is no surer, and what the border cuts is less sure
    weight = np.minimum(area, np.pi / 4 * diameter**2) * np.where(at_border, 0.5, 1)
    drop = (contrast < FAINTEST_NUCLEUS * _typical(contrast, weight)) | (
        sharp < BLUREST * _typical(sharp, weight)
    )
    small = area < SMALLEST_NUCLEUS * _typical(area, weight)
    drop |= ~at_border & (small | (uneven > UNEVENEST))
    kept = np.ones(len(areas), bool)
    kept[ids[drop]] = False
    return np.where(kept[label_image], label_image, 0).astype(np.int32)


def ring_median(
    bright: NDArray[np.float32],
    label_image: NDArray[np.int32],
    ids: NDArray[np.integer],
    diameter: float,
) -> NDArray[np.float64]:
    """Median brightness around each label, from just outside to a quarter of a diameter."""
    nearest, distance = spread_labels(label_image)
    around = (distance > max(1.0, diameter / 12)) & (distance <= diameter / 4)
    return median_per_label(bright, np.where(around, nearest, 0), ids)


def _sd_inside(
    bright: NDArray[np.float32], cores: NDArray[np.int32], ids: NDArray[np.integer]
) -> NDArray[np.float64]:
    at = np.flatnonzero(cores)
    of_pixel, values = cores.ravel()[at], bright.ravel()[at].astype(np.float64)
    length = int(ids[-1]) + 1
    count = np.maximum(np.bincount(of_pixel, minlength=length), 1)
    mean = np.bincount(of_pixel, values, length) / count
    square = np.bincount(of_pixel, values**2, length) / count
    return np.sqrt(np.maximum(square - mean**2, 0))[ids]


def _typical(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    at = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2, side="right")
    return float(values[order][at])
