"""Images larger than one wants in memory: TIFFs of which parts are read when they are used.

PNG and JPEG have no parts that could be read alone, so such images are decoded whole.

H, W: image height and width in pixels; C: channels.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, check_channels, read_channels
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.pictures import read_header, unreadable
from hpa_mmdet.io.recent import Recent
from hpa_mmdet.io.tiff_parts import TiffParts

LARGE_PIXELS = 32 * 2**20
"""Images above it (about 5,800 x 5,800) are read in parts where their files allow it."""
MOST_PIXELS = 2**32 - 1
"""More than a run-length mask can count."""
KEPT_BYTES = 128 * 2**20
"""Decoded tiles and strips of an image that are kept for the next part."""
_BAND_ROWS = 256


class LargeImage:
    """An image (H, W, C) on disk; `image[rows, columns]` reads that part.

    Any thread may read. It can be sent to another process, which opens the files anew.

    Args:
        files: of the image, all of them TIFFs.
        channels: in the order wanted.
        shape_hw: height and width.

    Raises:
        InputError: a part of a file cannot be decoded.
    """

    def __init__(
        self, files: ImageFiles, channels: Sequence[str], shape_hw: tuple[int, int], dtype: Any
    ) -> None:
        self.files, self.channels = files, tuple(channels)
        self.shape = (*shape_hw, len(self.channels))
        self.dtype = np.dtype(dtype)
        self._lock = threading.Lock()
        self._open: dict[Path, TiffParts] = {}
        self._recent = Recent(KEPT_BYTES)

    def __reduce__(self) -> Any:
        return (LargeImage, (self.files, self.channels, self.shape[:2], self.dtype))

    def __del__(self) -> None:
        self.close()

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.integer]:
        rows, columns = (
            slice(*each.indices(side)[:2]) for each, side in zip(part, self.shape, strict=False)
        )
        planes = [self._read(channel, rows, columns) for channel in self.channels]
        return np.stack(planes, axis=2)

    def bands(self, height: int = _BAND_ROWS) -> Iterator[NDArray[np.integer]]:
        """Give the image from top to bottom, so many rows at a time."""
        for top in range(0, self.shape[0], height):
            yield self[top : top + height, 0 : self.shape[1]]

    def shrunk(self, longest_side_px: int) -> tuple[NDArray[np.integer], float]:
        """Average whole blocks of pixels, so that no side is longer than asked.

        Returns:
            (h, w, C) and its pixels per pixel of the image; rows and columns that fill no
            block are left out.
        """
        block = -(-max(self.shape[:2]) // longest_side_px)
        width = self.shape[1] // block
        rows = []
        height = max(block, _BAND_ROWS // block * block)
        for band in self.bands(height):
            count = band.shape[0] // block
            if count:
                cut = band[: count * block, : width * block]
                small = cv2.resize(cut, (width, count), interpolation=cv2.INTER_AREA)
                rows.append(small.reshape(count, width, -1).astype(self.dtype, copy=False))
        return np.concatenate(rows), 1 / block

    def close(self) -> None:
        """Close the files; the next part opens them again."""
        for parts in self._open.values():
            parts.close()
        self._open.clear()

    def _read(self, channel: str, rows: slice, columns: slice) -> NDArray[Any]:
        path, plane = split_plane(self.files.paths[channel])
        with self._lock:
            try:
                if path not in self._open:
                    self._open[path] = TiffParts(path, self._recent)
                return self._open[path].read(plane, rows, columns)
            except Exception as error:  # each decoder has its own kinds of error
                raise unreadable(path, error) from error


def open_channels(
    files: ImageFiles, channels: Sequence[str] = CHANNELS
) -> NDArray[np.integer] | LargeImage:
    """Read an image, or open it where it is large and its files can be read in parts.

    Raises:
        InputError: as `read_channels`; or the image has more than 2**32 - 1 pixels.
    """
    if not all(_is_large_tiff(files, channel) for channel in channels):
        return read_channels(files, channels)
    width, height = check_channels(files, channels, max_pixels=MOST_PIXELS)
    dtypes = set()
    for channel in channels:
        path = split_plane(files.paths[channel])[0]
        try:
            parts = TiffParts(path, Recent(0))
            dtypes.add(parts.dtype)
            parts.close()
        except Exception as error:  # each decoder has its own kinds of error
            raise unreadable(path, error) from error
    if len(dtypes) > 1 or not dtypes <= {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise InputError(
            f"image {files.image_id}",
            f"{', '.join(sorted(map(str, dtypes)))} pixels",
            "8 or 16 bit, the same in all channels",
            "export intensities as 8 or 16 bit",
        )
    return LargeImage(files, channels, (height, width), dtypes.pop())


def _is_large_tiff(files: ImageFiles, channel: str) -> bool:
    path = files.paths.get(channel)
    if path is None:
        return False
    try:
        header = read_header(split_plane(path)[0])
        width, height = header.size_wh
    except (InputError, ValueError):
        return False  # read_channels says what is wrong
    return header.kind == "tiff" and width * height > LARGE_PIXELS
