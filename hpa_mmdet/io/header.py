"""What a picture file announces, and the limits that it must keep."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpa_mmdet.errors import InputError

MAX_PIXELS = 512 * 2**20
"""Largest picture that is decoded (about 23,000 x 23,000) unless a caller says otherwise."""
PNG_PALETTE = 3
"""`Header.png_colour` of a PNG whose pixels are places in a palette."""
_BYTES_PER_PIXEL = 4  # of the limit: a 32-bit label image, or four 8-bit channels
_SMALL_BYTES = 64 * 2**20


class Header(NamedTuple):
    """What a file says of its picture: `shape` as stored, `axes` a letter for each.

    Y and X are rows and columns, S the bands of a colour picture, C channels, others as
    TIFF names them. `number` is numpy's letter for the kind of pixel (u, i, f, b).
    `png_colour` is the colour type of a PNG and -1 elsewhere. `black` is the value of black
    where 0 is white, and 0 elsewhere.
    """

    kind: str
    shape: tuple[int, ...]
    axes: str
    bits: int
    number: str = "u"
    png_colour: int = -1
    black: int = 0

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.shape[self.axes.index("X")], self.shape[self.axes.index("Y")]

    @property
    def decoded_bytes(self) -> int:
        """Size of the decoded picture."""
        return int(np.prod(self.shape, dtype=object)) * -(-self.bits // 8)


def check_pixels(path: Path, header: Header, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a picture whose header announces too much.

    Raises:
        InputError: more than `max_pixels` pixels, or more than 4 bytes for each of them.
    """
    width, height = header.size_wh
    sides = "x".join(map(str, header.shape))
    if width * height > max_pixels:
        raise InputError(
            path,
            f"{sides} values in its header",
            f"at most {max_pixels} pixels",
            "raise --max-pixels if the file is really that large",
        )
    if header.decoded_bytes > _BYTES_PER_PIXEL * max_pixels:
        raise InputError(
            path,
            f"{sides} values of {header.bits} bits in its header",
            f"at most {_BYTES_PER_PIXEL * max_pixels} bytes",
            "raise --max-pixels if the file is really that large",
        )


def check_ratio(header: Header, stored_bytes: int, most: int) -> None:
    """Refuse, before memory is taken, a picture of which most cannot be in the file.

    Args:
        header: of the picture.
        stored_bytes: how much compressed data there is.
        most: decoded bytes that one stored byte can give.

    Raises:
        ValueError: more is announced than the stored bytes can hold.
    """
    if header.decoded_bytes > _SMALL_BYTES + most * stored_bytes:
        raise ValueError(
            f"truncated: {header.decoded_bytes} bytes announced, {stored_bytes} bytes stored"
        )
