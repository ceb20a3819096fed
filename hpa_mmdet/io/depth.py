"""The range of intensities: 8-bit files, and 8, 10, 12, 14 or 16 bits of data in 16-bit files.

Cameras of 12 bits are often saved in 16-bit files without scaling, so the range of such data
cannot be told from a header. The white level is the value that stands for full brightness.
For 8-bit files it is 255. For 16-bit files it is measured over a sample of the folder: the
smallest of `WHITE_LEVELS` that no sampled value exceeds.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, check_channels
from hpa_mmdet.io.large_images import open_channels
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.pictures import read_header

WHITE_LEVELS: tuple[int, ...] = (255, 1023, 4095, 16383, 65535)
"""Full brightness at 8, 10, 12, 14 and 16 bits."""
_SAMPLED_IMAGES = 32
_SAMPLED_BANDS = 8
_BAND_ROWS = 64


class FolderDepth(NamedTuple):
    """The range of a folder's images.

    `white_level` is that of its 16-bit files (255 where there are none), `largest` the largest
    value that was seen in them, `images_8_bit` and `images_16_bit` how many of the sampled
    images are of either kind.
    """

    white_level: int
    largest: int
    images_8_bit: int
    images_16_bit: int

    @property
    def is_mixed(self) -> bool:
        """Whether 8-bit and 16-bit images stand side by side."""
        return self.images_8_bit > 0 and self.images_16_bit > 0

    def describe(self) -> str:
        """Give the sentence for a report.

        Examples:
            >>> FolderDepth(4095, 4012, 0, 32).describe()
            '16-bit files with values up to 4012 in 32 images: read with white level 4095 (12 bits)'
        """
        if not self.images_16_bit:
            return "8-bit files: read with white level 255"
        text = (
            f"16-bit files with values up to {self.largest} in {self.images_16_bit} images: "
            f"read with white level {self.white_level} ({self.white_level.bit_length()} bits)"
        )
        if self.is_mixed:
            text += f"; {self.images_8_bit} images are 8 bit and keep white level 255"
        return text


def white_level_of(pixels: NDArray[np.integer]) -> int:
    """Give the white level of an image: 255 if it is uint8, else the smallest that holds it.

    Use it on a whole dataset's values (`measure_depth`) rather than on single images, or dark
    images come out as bright as the others.

    Examples:
        >>> white_level_of(np.array([[0, 4012]], np.uint16))
        4095
    """
    if pixels.dtype == np.uint8:
        return 255
    return _white_level_above(int(pixels.max(initial=0)))


def measure_depth(images: Sequence[ImageFiles], channels: Sequence[str] = CHANNELS) -> FolderDepth:
    """Measure the range of a folder's images on up to 32 of them, evenly spread.

    8-bit images are recognized by their headers and not decoded. Of a large image that is read
    in parts, 8 bands of rows are looked at. Images that cannot be read are passed over: they
    fail where they are used.
    """
    step = max(1, len(images) / _SAMPLED_IMAGES)
    sample = [images[int(place * step)] for place in range(min(len(images), _SAMPLED_IMAGES))]
    counts = {8: 0, 16: 0}
    largest = 0
    for image in sample:
        with suppress(InputError):
            check_channels(image, channels)
            bits = read_header(split_plane(image.paths[channels[0]])[0]).bits
            if bits > 8:
                largest = max(largest, _largest_value(image, channels))
            counts[8 if bits <= 8 else 16] += 1
    white_level = _white_level_above(largest) if counts[16] else 255
    return FolderDepth(white_level, largest, counts[8], counts[16])


def scale_to_uint8(
    pixels: NDArray[np.integer], white_level: int = 65535, where: object = "image"
) -> NDArray[np.uint8]:
    """Bring intensities to 0..255; uint8 comes as it is.

    A uint16 value v becomes the nearest whole number to 255 v / white_level.

    Args:
        pixels: uint8 or uint16, any shape.
        white_level: the value of full brightness in uint16 data.
        where: what an error names.

    Raises:
        InputError: another type of pixel, or a value above the white level.

    Examples:
        >>> scale_to_uint8(np.array([[0, 2048, 4095]], np.uint16), 4095)
        array([[  0, 128, 255]], dtype=uint8)
    """
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype != np.uint16:
        raise InputError(where, f"{pixels.dtype} pixels", "8 or 16 bit", "export it as 8 or 16 bit")
    if white_level < 65535 and (largest := int(pixels.max(initial=0))) > white_level:
        raise InputError(
            where,
            problem=f"a value of {largest} exceeds the white level {white_level}",
            remedy=f"give --white-level {_white_level_above(largest)} for the whole dataset",
        )
    return _table(white_level)[pixels]


def _largest_value(image: ImageFiles, channels: Sequence[str]) -> int:
    pixels = open_channels(image, channels)
    if isinstance(pixels, np.ndarray):
        return int(pixels.max(initial=0))
    height, width = pixels.shape[:2]
    tops = range(0, height, max(1, height // _SAMPLED_BANDS))
    largest = max(int(pixels[top : top + _BAND_ROWS, 0:width].max()) for top in tops)
    pixels.close()
    return largest


@lru_cache(maxsize=8)
def _table(white_level: int) -> NDArray[np.uint8]:
    values = np.arange(2**16, dtype=np.uint32).clip(max=white_level)
    return ((values * 255 + white_level // 2) // white_level).astype(np.uint8)


def _white_level_above(largest: int) -> int:
    return next(level for level in WHITE_LEVELS if largest <= level or level == 65535)
