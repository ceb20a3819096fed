"""From an image's files to the pixels that a pipeline works on: 8 bit, at the working size.

H, W: size in pixels; C: channels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.io.channels import ImageFiles, read_channels
from hpa_mmdet.io.depth import scale_to_uint8, white_level_of


class WorkingImage(NamedTuple):
    """`pixels` (H, W, C) uint8, and the height and width of the files they came from."""

    pixels: NDArray[np.uint8]
    source_shape_hw: tuple[int, int]


def decode_working_image(
    files: ImageFiles,
    channels: Sequence[str],
    scale: float = 1.0,
    white_level: int | None = None,
) -> WorkingImage:
    """Read the channels of an image, bring them to 8 bit, then to the working size.

    Args:
        files: of the image.
        channels: names, in the order of the planes.
        scale: pixels of the working image for each of the file's.
        white_level: full brightness in 16-bit files (`hpa_mmdet.io.depth`); None measures it
            on this image alone.

    Raises:
        InputError: as `read_channels`, or a pixel is above the white level.
    """
    read = read_channels(files, channels)
    level = white_level_of(read) if white_level is None else white_level
    pixels = scale_to_uint8(read, level, f"image {files.image_id}")
    height, width = pixels.shape[:2]
    shape_hw = working_shape((height, width), scale)
    if shape_hw != (height, width):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(pixels, shape_hw[::-1], interpolation=method)
        pixels = np.asarray(resized, np.uint8).reshape(*shape_hw, len(channels))
    return WorkingImage(pixels, (height, width))


def working_shape(shape_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """Give the size of a working image.

    Examples:
        >>> working_shape((1025, 2048), 0.5)
        (512, 1024)
    """
    height, width = (max(1, round(side * scale)) for side in shape_hw)
    return height, width
