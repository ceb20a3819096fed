"""A file of a store: a .npy array of crops with lines of JSON behind it.

numpy opens such a file as any other .npy file. The lines say whose the crops are; they are
read once, when the store is finished.

S: side of a crop in pixels; C: channels.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class PixelWriter:
    """Appends crops to an open file, so that no more than one image's are in memory.

    Args:
        handle: open for writing, at its begin.
        crop_shape: S, S and C.
    """

    def __init__(self, handle: IO[bytes], crop_shape: tuple[int, int, int]) -> None:
        self.count = 0
        self._handle, self._crop_shape = handle, crop_shape
        self._lines: list[bytes] = []
        self._write_header()

    def append(self, pixels: NDArray[np.uint8], line: object) -> None:
        """Write (n, S, S, C) uint8 behind what is there, and keep a line for the end."""
        assert pixels.shape[1:] == self._crop_shape
        assert pixels.dtype == np.uint8
        self._handle.write(np.ascontiguousarray(pixels).data)
        self._lines.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self.count += len(pixels)

    def finish(self) -> None:
        """Write the lines, and the header again with the number of crops."""
        self._handle.writelines(self._lines)
        self._handle.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        # numpy pads the header, so that it keeps its length as the first axis grows
        np.lib.format.write_array_header_1_0(
            self._handle,
            {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self._crop_shape)},
        )


@contextmanager
def open_pixel_file(path: Path, crop_shape: tuple[int, int, int]) -> Iterator[PixelWriter]:
    """Open a file to append crops to; it is whole once the block has ended well."""
    with path.open("wb") as handle:
        writer = PixelWriter(handle, crop_shape)
        yield writer
        writer.finish()


def read_pixel_lines(path: Path) -> list[Any]:
    """Read what the lines of JSON behind the crops hold, in their order."""
    with path.open("rb") as handle:
        np.lib.format.read_magic(handle)
        shape, _, _ = np.lib.format.read_array_header_1_0(handle)
        handle.seek(int(np.prod(shape)), 1)
        return [json.loads(line) for line in handle]
