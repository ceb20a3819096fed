"""The protein channel without its background, at one brightness from image to image."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SMALL_PX = 256  # background is smooth: it is estimated on a picture of this size
_OPENING = 1 / 3  # of the longer side: wider than any cell, so that cells are not background
_HIGH_PERCENT = 99.8
_LEAST_SPAN = 0.02  # of the full depth: an empty channel is noise and stays dark


def clean_channel(plane: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Subtract the background of a channel and scale the rest to 0..255.

    The background is a morphological opening wider than the cells, smoothed: the dark
    ground that shows between them. What is left is scaled so that its 99.8th percentile
    becomes 255; noise of an empty channel is not scaled up.

    Args:
        plane: (H, W) uint8 or uint16, not modified.
    """
    height, width = plane.shape
    if not plane.size:
        return np.zeros(plane.shape, np.uint8)
    full = 255.0 if plane.dtype == np.uint8 else 65535.0
    scale = min(1.0, _SMALL_PX / max(height, width))
    small_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(plane, small_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
    kernel = np.ones((max(3, round(_OPENING * max(small.shape))) | 1,) * 2, np.uint8)
    opened = cv2.morphologyEx(
        cv2.GaussianBlur(small, (0, 0), 1.0),
        cv2.MORPH_OPEN,
        kernel,
        borderType=cv2.BORDER_REPLICATE,
    )
    ground = cv2.GaussianBlur(opened, (0, 0), max(small.shape) / 16)
    ground = cv2.resize(ground, (width, height), interpolation=cv2.INTER_LINEAR)
    lifted = np.maximum(plane.astype(np.float32) - ground, 0)
    step = max(1, lifted.size // 250_000)
    high = float(np.percentile(lifted.ravel()[::step], _HIGH_PERCENT))
    span = max(high, _LEAST_SPAN * full)
    return np.minimum(lifted * (255.0 / span) + 0.5, 255).astype(np.uint8)
