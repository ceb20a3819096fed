"""Channels as a person sees them: stretched, and mixed into one RGB picture.

H, W: image height and width in pixels; C: channels, in the order given by name.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels

# How much of each channel goes to red, green and blue, as the Human Protein Atlas colours
# them. Yellow (ER) is halved, since it would cover the protein's green.
MIX_RGB: dict[str, tuple[float, float, float]] = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (0.5, 0.5, 0.0),
}
# A channel whose range is below this share of the image's brightest value is mostly noise:
# it is stretched no further, so that an empty channel stays dark.
_LEAST_SPAN = 0.12


def shrink(image: NDArray[np.integer], longest_side_px: int) -> tuple[NDArray[np.integer], float]:
    """Shrink an image (H, W) or (H, W, C) by area averaging; never enlarge.

    Returns:
        The image and the scale: its pixels per pixel of the input.
    """
    height, width = image.shape[:2]
    scale = min(1.0, longest_side_px / max(height, width))
    if scale == 1.0:
        return image, 1.0
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).astype(image.dtype)
    return small.reshape(size_wh[1], size_wh[0], *image.shape[2:]), scale


def stretch_channels(image: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Stretch the contrast of each channel of (H, W, C) between its percentiles 1 and 99.7.

    Returns:
        (H, W, C) uint8, 0..255.
    """
    if image.size == 0:
        return np.zeros(image.shape, np.uint8)
    planes = image.reshape(-1, image.shape[2]).astype(np.float32)
    low, high = np.percentile(planes[:: max(1, len(planes) // 250_000)], [1.0, 99.7], axis=0)
    span = np.maximum(high - low, max(_LEAST_SPAN * float(planes.max()), 1.0))
    stretched = np.clip((planes - low) * (255.0 / span) + 0.5, 0, 255)
    return stretched.reshape(image.shape).astype(np.uint8)


def mix_rgb(stretched: NDArray[np.uint8], channels: Sequence[str] = CHANNELS) -> NDArray[np.uint8]:
    """Mix stretched channels (H, W, C) uint8 into an RGB picture (H, W, 3) uint8."""
    weights = np.array([MIX_RGB[channel] for channel in channels], np.float32)
    mixed = stretched.astype(np.float32) @ weights
    return np.minimum(mixed, 255).astype(np.uint8)


def compose_rgb(
    image: NDArray[np.integer], channels: Sequence[str] = CHANNELS
) -> NDArray[np.uint8]:
    """Stretch and mix the channels of (H, W, C), 8 or 16 bit, into RGB (H, W, 3) uint8."""
    return mix_rgb(stretch_channels(image), channels)


def compose_picture(image: ImageFiles, longest_side_px: int) -> NDArray[np.uint8]:
    """Read the channels an image has, shrink them and mix them into (H, W, 3) uint8.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    channels = tuple(channel for channel in CHANNELS if channel in image.paths)
    small, _ = shrink(read_channels(image, channels), longest_side_px)
    return compose_rgb(small, channels)


def tint(plane: NDArray[np.uint8], channel: str) -> NDArray[np.uint8]:
    """Colour one stretched channel (H, W) as the atlas shows it alone, (H, W, 3) uint8."""
    colour = np.array(MIX_RGB[channel], np.float32)
    return (plane[..., None] * (colour / colour.max())).astype(np.uint8)
