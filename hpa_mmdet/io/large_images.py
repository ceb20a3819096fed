"""Large TIFF images of which parts are read on demand, by tiles or strips.

PNG and JPEG have no parts that can be read alone, so such images are decoded whole.

H, W: image height and width in pixels; C: channels.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, check_channels, read_channels
from hpa_mmdet.io.header import MAX_PIXELS
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.pictures import read_header, unreadable
from hpa_mmdet.io.tiff import open_tiff

LARGE_PIXELS = 32 * 2**20
"""Images above it (about 5,800 x 5,800) are read in parts where their files allow it."""
MOST_PIXELS = 2**32 - 1
"""More than a run-length mask can count."""
KEPT_BYTES = 128 * 2**20
"""Decoded tiles and strips of an image that are kept for the next part."""
_BAND_ROWS = 256
_COLOURS = 3  # bands of a picture drawn in colour; a fourth is transparency

Segments = LRUCache[tuple[str, int, int], NDArray[Any] | None]


def segment_cache(max_bytes: int) -> Segments:
    """Make an LRU cache of decoded tiles and strips, bounded in bytes."""
    return LRUCache(max_bytes, getsizeof=lambda segment: 0 if segment is None else segment.nbytes)


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
        self._cache = segment_cache(KEPT_BYTES)

    def __reduce__(self) -> Any:
        return (LargeImage, (self.files, self.channels, self.shape[:2], self.dtype))

    def __del__(self) -> None:
        self.close()

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.integer]:
        rows, columns = (
            slice(*along.indices(side)[:2]) for along, side in zip(part, self.shape, strict=False)
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
                rows.append(np.asarray(small.reshape(count, width, -1), self.dtype))
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
                    self._open[path] = TiffParts(path, self._cache)
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
    for path in dict.fromkeys(split_plane(files.paths[channel])[0] for channel in channels):
        try:
            parts = TiffParts(path, segment_cache(0))
            parts.close()
        except Exception as error:  # each decoder has its own kinds of error
            raise unreadable(path, error) from error
    return LargeImage(files, channels, (height, width), parts.dtype)


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


class TiffParts:
    """An open TIFF, read where it is asked for.

    Args:
        path: of the file.
        cache: decoded tiles and strips, shared by all files of an image.

    Raises:
        ValueError: the file is one that can only be decoded whole.
    """

    def __init__(self, path: Path, cache: Segments) -> None:
        self.path, self._cache = path, cache
        self._stack = ExitStack()
        opened = self._stack.enter_context(open_tiff(path, kept_open=True))
        self._file, self._series = opened.file, opened.series
        self._black = opened.header.black
        self.axes, self.shape = self._series.axes, tuple(self._series.shape)
        self.dtype = np.dtype(self._series.dtype).newbyteorder("=")
        self._mapped: NDArray[Any] | None = None
        if self._series.dataoffset is not None:  # not compressed: the system reads what is used
            stored = self.dtype.newbyteorder(self._file.byteorder)
            self._mapped = np.memmap(path, stored, "r", self._series.dataoffset, self.shape)
        elif self._segment_pixels() > MAX_PIXELS:
            self._stack.close()
            raise ValueError("a single strip that is too large")

    def close(self) -> None:
        """Close the file."""
        self._mapped = None
        self._stack.close()

    def read(self, plane: int | None, rows: slice, columns: slice) -> NDArray[Any]:
        """Decode (h, w) pixels of a plane; of a colour picture, None gives the brightest band."""
        part = self._read(plane, rows, columns)
        return part if not self._black else (self._black - part).astype(self.dtype)

    def _read(self, plane: int | None, rows: slice, columns: slice) -> NDArray[Any]:
        extra = self.axes.replace("Y", "").replace("X", "")
        if not extra:
            return self._page(0, None, rows, columns)
        place = self.axes.index(extra)
        count = self.shape[place]
        if plane is not None:
            return self._band(place, plane, rows, columns)
        bands = 1 if count <= 2 else _COLOURS
        found = [self._band(place, band, rows, columns) for band in range(bands)]
        return found[0] if bands == 1 else np.max(found, axis=0)

    def _band(self, axis: int, band: int, rows: slice, columns: slice) -> NDArray[Any]:
        if self._mapped is not None:
            return self._from_map(np.moveaxis(self._mapped, axis, 0)[band], rows, columns)
        if self._series.keyframe.samplesperpixel > 1:
            return self._page(0, band, rows, columns)
        return self._page(band, None, rows, columns)

    def _from_map(self, plane: NDArray[Any], rows: slice, columns: slice) -> NDArray[Any]:
        return np.ascontiguousarray(plane[rows, columns], self.dtype)

    def _page(self, number: int, band: int | None, rows: slice, columns: slice) -> NDArray[Any]:
        if self._mapped is not None:
            return self._from_map(self._mapped, rows, columns)
        part = np.zeros((rows.stop - rows.start, columns.stop - columns.start), self.dtype)
        for segment, top, left in self._segments(number, band, rows, columns):
            if segment is None:
                continue  # a tile that was never written counts as black
            y, x = max(top, rows.start), max(left, columns.start)
            y_end = min(top + segment.shape[0], rows.stop)
            x_end = min(left + segment.shape[1], columns.stop)
            into = part[
                y - rows.start : y_end - rows.start, x - columns.start : x_end - columns.start
            ]
            into[...] = segment[y - top : y_end - top, x - left : x_end - left]
        return part

    def _segments(
        self, number: int, band: int | None, rows: slice, columns: slice
    ) -> Iterator[tuple[NDArray[Any] | None, int, int]]:
        """Give the decoded tiles or strips under a part, each with its first row and column."""
        key = self._series.keyframe
        height, width = self._segment_hw()
        across, down = -(-key.imagewidth // width), -(-key.imagelength // height)
        separate = key.planarconfig == 2 and key.samplesperpixel > 1
        first = (band or 0) * across * down if separate else 0
        for row in range(rows.start // height, -(-rows.stop // height)):
            for column in range(columns.start // width, -(-columns.stop // width)):
                index = first + row * across + column
                found = self._segment(number, index)
                if found is not None:
                    found = found[..., 0 if separate or band is None else band]
                yield found, row * height, column * width

    def _segment(self, number: int, index: int) -> NDArray[Any] | None:
        key = (str(self.path), number, index)
        if key not in self._cache:
            segment = self._decode(number, index)
            with suppress(ValueError):  # larger than the whole cache
                self._cache[key] = segment
            return segment
        return self._cache[key]

    def _decode(self, number: int, index: int) -> NDArray[Any] | None:
        page: Any = self._series.pages[number]
        key = self._series.keyframe
        size = page.databytecounts[index]
        if not size:
            return None
        handle = self._file.filehandle
        handle.seek(page.dataoffsets[index])
        more: dict[str, Any] = {}
        if page.jpegtables is not None or key.jpegheader is not None:
            more = {"jpegtables": page.jpegtables, "jpegheader": key.jpegheader}
        decoded = key.decode(handle.read(size), index, **more)[0]
        if decoded is None:
            return None
        segment: NDArray[Any] = decoded[0]  # (depth 1, h, w, bands)
        return segment

    def _segment_hw(self) -> tuple[int, int]:
        key = self._series.keyframe
        if key.is_tiled:
            return key.tilelength, key.tilewidth
        return min(key.rowsperstrip, key.imagelength), key.imagewidth

    def _segment_pixels(self) -> int:
        height, width = self._segment_hw()
        return height * width
