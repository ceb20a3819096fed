"""Nuclei from a DNA stain.

H, W: picture height and width in pixels; axes are (row, column).
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hpa_mmdet.masks.label_image import number_cells
from hpa_mmdet.segment.component_tree import LEVELS, Part, best_parts, build_tree
from hpa_mmdet.segment.debris import drop_debris, ring_median
from hpa_mmdet.segment.filters import (
    blur,
    flood,
    is_near,
    percentiles,
    resize,
    resize_to,
)
from hpa_mmdet.segment.outlines import smooth_outlines
from hpa_mmdet.segment.per_label import median_per_label
from hpa_mmdet.segment.shape_split import solidity, split_by_shape

LEAST_SCORE = 0.2  # of a blob, see component_tree.blob_score
ROUND = 0.96  # solidity above which a part is one nucleus without a closer look
EDGE = 0.5  # a nucleus ends this share of the way from what lies around to its median


def find_nuclei(dna: NDArray[np.float32], diameter: float) -> NDArray[np.int32]:
    """Label the nuclei of a DNA stain.

    Args:
        dna: (H, W) intensities, any scale.
        diameter: of a typical nucleus, in pixels of `dna`; about 36 is enough detail.

    Returns:
        (H, W) label image, ids from 1 without gaps.
    """
    bright = over_background(blur(dna, max(0.7, diameter / 40)), diameter)
    lowest, highest = _range_of_interest(bright)
    if highest <= lowest:
        return np.zeros(dna.shape, np.int32)
    parts = build_tree(bright, np.geomspace(lowest, highest, LEVELS), diameter)
    label_image = _draw(best_parts(parts, diameter, LEAST_SCORE), dna.shape)
    label_image = smooth_outlines(_to_half_height(label_image, bright, diameter))
    label_image = smooth_outlines(_split(label_image, diameter))
    return number_cells(drop_debris(label_image, bright, diameter))[0]


def over_background(dna: NDArray[np.float32], diameter: float) -> NDArray[np.float32]:
    """Subtract the local background: a low percentile of almost three diameters around."""
    step = max(1.0, diameter / 4)
    small = resize(dna, 1 / step)
    width = 2 * round(1.2 * diameter / step) + 1
    low = ndimage.percentile_filter(small, 15, size=width, mode="nearest")
    return dna - resize_to(blur(low, width / 3), dna.shape)


def _range_of_interest(bright: NDArray[np.float32]) -> tuple[float, float]:
    """Lowest and highest threshold; noise is that between neighbours, so uneven light is none."""
    median, high, highest = percentiles(bright, 50, 99, 99.95)
    rough = np.abs(bright - blur(bright, 2.0))[bright <= median]
    noise = 1.4826 * float(np.median(rough))
    # in a noisy picture faint nuclei are no brighter than many times the noise
    return max(min(5.0 * noise, 0.15 * high), 0.02 * high, 1e-3), 0.8 * highest


def _draw(parts: list[Part], shape_hw: tuple[int, ...]) -> NDArray[np.int32]:
    label_image = np.zeros(shape_hw, np.int32)
    for at, part in enumerate(parts, start=1):
        cv2.drawContours(label_image, [part.contour], -1, at, cv2.FILLED)
    return label_image


def _split(label_image: NDArray[np.int32], diameter: float) -> NDArray[np.int32]:
    """Cut nuclei that touch; a well rounded one is not looked at."""
    count = int(label_image.max(initial=0))
    for at, box in enumerate(ndimage.find_objects(label_image), start=1):
        if box is None:
            continue
        mask = label_image[box] == at
        if solidity(mask) >= ROUND:
            continue
        pieces = split_by_shape(mask, diameter)
        label_image[box][mask] = pieces[mask] + count
        count += int(pieces.max())
    return number_cells(label_image)[0]


def _to_half_height(
    label_image: NDArray[np.int32], bright: NDArray[np.float32], diameter: float
) -> NDArray[np.int32]:
    """Move each outline to half way between the median inside and that of the ring around."""
    count = int(label_image.max(initial=0))
    if not count:
        return label_image
    ids = np.arange(count + 1)
    median = median_per_label(bright, label_image, ids)
    around = np.minimum(ring_median(bright, label_image, ids, diameter), median)
    least = around + EDGE * (median - around)
    grown = flood(-bright, label_image, is_near(label_image, diameter / 5))
    return np.where(bright > least[grown], grown, 0).astype(np.int32)
