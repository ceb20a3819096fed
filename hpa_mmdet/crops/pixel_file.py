"""A .npy file of crops that grows image by image, so that no more than one is in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray


class PixelWriter:
    """Appends crops to an open file; its header is written last.

    Args:
        handle: open for writing, at its begin.
        crop_shape: S, S and C.
    """

    def __init__(self, handle: IO[bytes], crop_shape: tuple[int, int, int]) -> None:
        self.count = 0
        self._handle, self._crop_shape = handle, crop_shape
        self.write_header()

    def append(self, pixels: NDArray[np.uint8]) -> None:
        """Write (n, S, S, C) uint8 behind what is there."""
        assert pixels.shape[1:] == self._crop_shape
        assert pixels.dtype == np.uint8
        self._handle.write(np.ascontiguousarray(pixels).data)
        self.count += len(pixels)

    def write_header(self) -> None:
        """Write the .npy header; numpy pads it, so that it keeps its length as the count grows."""
        self._handle.seek(0)
        np.lib.format.write_array_header_1_0(
            self._handle,
            {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self._crop_shape)},
        )


@contextmanager
def open_pixel_file(path: Path, crop_shape: tuple[int, int, int]) -> Iterator[PixelWriter]:
    """Open a .npy file to append crops to; it is whole once the block has ended."""
    with path.open("wb") as handle:
        writer = PixelWriter(handle, crop_shape)
        yield writer
        writer.write_header()
