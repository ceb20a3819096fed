"""The few picture filters that the steps share, with exact types. Planes are (H, W) float32."""

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


def blur(plane: Plane, sigma: float) -> Plane:
    """Smooth with a Gaussian of `sigma` pixels; the border is mirrored."""
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma), np.float32)


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


def resize_labels(label_image: NDArray[np.int32], shape_hw: tuple[int, int]) -> NDArray[np.int32]:
    """Resize a label image to `shape_hw`, nearest neighbour."""
    if label_image.shape == shape_hw:
        return label_image
    size_wh = shape_hw[::-1]
    resized = cv2.resize(label_image.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized, np.int32)


def distance_outside_of(label_image: NDArray[np.int32]) -> Plane:
    """Give each background pixel its distance to the nearest label; labels have 0."""
    outside = (label_image == 0).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(outside, cv2.DIST_L2, 5), np.float32)
