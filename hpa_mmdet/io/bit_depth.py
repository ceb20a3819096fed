"""Intensities of 8 or 16 bit as 8 bit."""

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError

# 16 bit to 0..255: the nearest of the values that 257 times themselves are
_EIGHT_BITS = ((np.arange(2**16, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def to_uint8(image: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Bring 8 or 16 bit to 0..255.

    Raises:
        InputError: another depth.
    """
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype == np.uint16:
        return _EIGHT_BITS[image]
    raise InputError("image", f"{image.dtype} pixels", "8 or 16 bit", "export it as 8 or 16 bit")
