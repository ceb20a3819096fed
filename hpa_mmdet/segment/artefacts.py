"""What a picture shows that is no cell: burnt-in scale bars, other stains in the DNA channel."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.segment.filters import Plane, blur, resize

Numbers = NDArray[np.integer] | Plane

BAR_SHAPE = 6.0  # a bar is at least this many times as wide as high
BAR_FILLED = 0.9  # and fills its box to this share
STRONGEST_SPILL = 0.25  # of the other stain; more is no spill but the same place
LOOK = 640  # pixels of the longer side at which spill is measured
STANDS_OUT = 4.0  # times the spill that was taken off; 1.3 to 3.4 without a DNA stain, else above 8


def without_scale_bars(planes: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """Fill burnt-in scale bars with what lies around them.

    A bar is a flat rectangle, wide and low, that is as white as can be in every plane. With
    one plane only there is no telling white from bright, and nothing is changed.

    Args:
        planes: (H, W) each, of one size and any kind of number.

    Returns:
        The same planes, those with a bar as changed copies.
    """
    kept = dict(planes)
    if len(planes) < 2:
        return kept
    level = 0.95 * max(float(plane.max(initial=0)) for plane in planes.values())
    white = np.logical_and.reduce(
        [plane >= plane.dtype.type(np.ceil(level)) for plane in planes.values()]
    )
    for x, y, width, height in _bars(white):
        margin = 3 + height  # beyond the blur that a JPEG leaves around it
        top, left = max(0, y - margin), max(0, x - margin)
        box = (slice(top, y + height + margin), slice(left, x + width + margin))
        hole = np.ones(white[box].shape, np.uint8)
        hole[[0, -1]] = hole[:, [0, -1]] = 0
        for name, plane in kept.items():
            rim = plane[box][hole == 0]
            filled = plane.copy()
            filled[box] = np.where(hole > 0, np.median(rim), plane[box])
            kept[name] = filled
    return kept


def _bars(white: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    if not white.any():
        return []
    _, _, stats, _ = cv2.connectedComponentsWithStats(white.astype(np.uint8), connectivity=4)
    return [
        (x, y, width, height)
        for x, y, width, height, area in stats[1:].tolist()
        if width >= BAR_SHAPE * height and height > 1 and area >= BAR_FILLED * width * height
    ]


def without_spill(dna: Plane, others: Mapping[str, Plane]) -> Plane | None:
    """Take off the share of the other stains that shows in the DNA channel.

    Where another stain is bright there are mostly no nuclei, so the lower ratios of the two
    there are spill: of the microscope's filters, or of the colours of a JPEG.

    Args:
        dna: (H, W) float32.
        others: stains of the cell body, of the same size.

    Returns:
        (H, W) float32, >= 0; None where hardly more than spill is left: there is no DNA
        stain in the picture.
    """
    shrink = max(1.0, max(dna.shape) / LOOK)
    small_dna = blur(resize(dna, 1 / shrink), 1.5)
    left, taken, small_left = dna, 0.0, small_dna
    for other in others.values():
        small = blur(resize(other, 1 / shrink), 1.5)
        bright = small >= np.percentile(small, 80)
        if not bright.any() or np.percentile(small, 99) < 0.3 * np.percentile(small_dna, 99):
            continue  # too weak to leave a trace
        ratio = small_dna[bright] / np.maximum(small[bright], 1)
        share = min(float(np.percentile(ratio, 10)), STRONGEST_SPILL)
        left, small_left = left - share * other, small_left - share * small
        taken += share * float(np.percentile(small, 99))
    if taken and np.percentile(small_left, 99.9) < STANDS_OUT * taken:
        return None
    return np.asarray(np.maximum(left, 0), np.float32)
