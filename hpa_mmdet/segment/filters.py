"""The few picture filters that the steps share, with exact types. Planes are (H, W) float32."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

Plane = NDArray[np.float32]
_FINEST_SIGMA = 20.0  # pixels; twice as wide ones are made on a coarser grid, where they have this
_LEAST_RANGE, _LEAST = 1e-4, 1e-30  # relative and absolute; float32 has no 256 steps in less


def blur(plane: Plane, sigma: float) -> Plane:
    """Smooth with a Gaussian of `sigma` pixels; the border is mirrored.

    A wide one works on a coarser grid, to a hundred-thousandth of the range of brightness.
    """
    step = int(sigma / _FINEST_SIGMA)
    if step > 1:
        return _blur_wide(plane, sigma, step)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


def _blur_wide(plane: Plane, sigma: float, step: int) -> Plane:
    height, width = plane.shape
    margin = step * round(4 * sigma / step)
    bottom, right = (margin + -side % step for side in plane.shape)
    wide = cv2.copyMakeBorder(plane, margin, bottom, margin, right, cv2.BORDER_REFLECT_101)
    size_wh = (wide.shape[1] // step, wide.shape[0] // step)
    small = cv2.resize(wide, size_wh, interpolation=cv2.INTER_AREA)
    # shrinking and enlarging blur too, with these variances
    rest = sigma**2 - (step**2 - 1) / 12 - step**2 / 6
    small = cv2.GaussianBlur(small, (0, 0), float(np.sqrt(rest)) / step)
    large = resize_to(np.asarray(small, np.float32), wide.shape)
    return np.ascontiguousarray(large[margin : margin + height, margin : margin + width])


def percentiles(values: Plane, *percents: float) -> list[float]:
    """Give percentiles as numpy does, which takes thrice as long for values in no order."""
    return [float(value) for value in np.percentile(np.sort(values, axis=None), percents)]


def flood(heights: Plane, markers: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Label the pixels of the mask by the marker that water from it reaches first.

    Args:
        heights: (H, W).
        markers: (H, W) label image, inside the mask.
        mask: (H, W), the pixels to label; others become 0.
    """
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), None, 4)
    marked = markers > 0
    part_of, marker_of = parts[marked], markers[marked]
    alone = np.zeros(count, np.int32)
    alone[part_of] = marker_of
    is_shared = np.zeros(count, bool)
    is_shared[part_of[alone[part_of] != marker_of]] = True
    alone[is_shared] = 0
    flooded = alone[parts]  # water flows only where several markers share a part
    shared = is_shared[parts]
    if is_shared.any():
        x, y, width, height = cv2.boundingRect(shared.astype(np.uint8))
        box = (slice(y, y + height), slice(x, x + width))
        np.copyto(
            flooded[box], _watershed(heights[box], markers[box], shared[box]), where=shared[box]
        )
    return flooded


def _watershed(
    heights: Plane, markers: NDArray[np.int32], mask: NDArray[np.bool_]
) -> NDArray[np.int32]:
    # what lies inside the markers reaches nothing, and takes as long as what floods
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    within = cv2.erode((markers > 0).astype(np.uint8), cross, borderValue=1) > 0
    flooded = watershed(heights, np.where(within, 0, markers), mask=mask & ~within)
    return np.where(within, markers, flooded).astype(np.int32)


def otsu_level(values: Plane) -> float | None:
    """Give Otsu's threshold, or None where the values hardly differ."""
    low, high = float(values.min()), float(values.max())
    if high - low <= max(_LEAST_RANGE * max(abs(low), abs(high)), _LEAST):
        return None
    return float(threshold_otsu(values))


def slope(plane: Plane) -> Plane:
    """Give the length of the gradient, in units of brightness per pixel (Scharr)."""
    across = cv2.Scharr(plane, cv2.CV_32F, 1, 0, scale=1 / 32)
    down = cv2.Scharr(plane, cv2.CV_32F, 0, 1, scale=1 / 32)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def distance_to_outside(mask: NDArray[np.bool_]) -> Plane:
    """Give each pixel of the mask its distance to the nearest pixel outside.

    Beyond the picture's border counts as outside.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)


def resize(plane: Plane, factor: float) -> Plane:
    """Resize by `factor`, averaging where it shrinks; each side keeps at least a pixel."""
    if factor == 1:
        return plane
    height, width = (max(1, round(side * factor)) for side in plane.shape)
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=way), np.float32)


def resize_to(plane: Plane, shape_hw: tuple[int, ...]) -> Plane:
    """Resize to `shape_hw`, linear."""
    size_wh = (shape_hw[1], shape_hw[0])
    return np.asarray(cv2.resize(plane, size_wh, interpolation=cv2.INTER_LINEAR), np.float32)


def enlarge_labels(label_image: NDArray[np.int32], shape_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Enlarge a label image with smooth outlines.

    Each label is enlarged by itself as a picture of 0 and 1, slightly blurred; a pixel takes
    the label, or the background, whose share of it is largest. Touching labels stay so.

    Args:
        label_image: (h, w) int32.
        shape_hw: the size to reach, at least (h, w).
    """
    if label_image.shape == shape_hw:
        return label_image
    by_y, by_x = shape_hw[0] / label_image.shape[0], shape_hw[1] / label_image.shape[1]
    best = np.zeros(shape_hw, np.float32)
    total = np.zeros(shape_hw, np.float32)
    large = np.zeros(shape_hw, np.int32)
    margin = 3
    padded = np.pad(label_image, margin, mode="edge")  # so that no outline bends at the border
    for at, box in enumerate(ndimage.find_objects(label_image), start=1):
        if box is None:
            continue
        wider = tuple(slice(side.start, side.stop + 2 * margin) for side in box)
        mask = blur((padded[wider] == at).astype(np.float32), 0.7)
        top, left = box[0].start - margin, box[1].start - margin
        y, x = max(0, round(top * by_y)), max(0, round(left * by_x))
        height = min(shape_hw[0], round((top + mask.shape[0]) * by_y)) - y
        width = min(shape_hw[1], round((left + mask.shape[1]) * by_x)) - x
        # the centre of pixel p of the large picture lies at (p + 0.5) / by - 0.5 of the small
        to_small = np.array(
            [
                [1 / by_x, 0, (x + 0.5) / by_x - 0.5 - left],
                [0, 1 / by_y, (y + 0.5) / by_y - 0.5 - top],
            ]
        )
        share = cv2.warpAffine(
            mask, to_small, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        there = (slice(y, y + height), slice(x, x + width))
        np.copyto(large[there], at, where=share > best[there])
        np.maximum(best[there], share, out=best[there])
        total[there] += share
    total += best  # more than the background has: best > 1 - total
    large[total <= 1] = 0
    return large


def is_near(label_image: NDArray[np.int32], distance: float) -> NDArray[np.bool_]:
    """Say which pixels have a label, or are at most so far from one."""
    outside = (label_image == 0).astype(np.uint8)
    exact = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(exact <= distance)


def spread_labels(label_image: NDArray[np.int32]) -> tuple[NDArray[np.int32], Plane]:
    """Give each pixel the nearest label, of which there is at least one, and its distance.

    Both to two hundredths of the distance.
    """
    outside = (label_image == 0).astype(np.uint8)
    distance, places = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.zeros(int(places.max()) + 1, np.int32)
    labels[places[outside == 0]] = label_image[outside == 0]
    return labels[places], np.asarray(distance, np.float32)


def distance_outside_of(label_image: NDArray[np.int32]) -> Plane:
    """Give each background pixel its distance to the nearest label; labels have 0."""
    outside = (label_image == 0).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5), np.float32)
