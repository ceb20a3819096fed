"""Parts of a TIFF's planes, decoded by tiles or strips, so that a plane is never held whole.

H, W: image height and width in pixels.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from hpa_mmdet.io.pictures import MAX_PIXELS
from hpa_mmdet.io.recent import Recent

_COLOURS = 3  # bands of a picture drawn in colour; a fourth is transparency


class TiffParts:
    """An open TIFF, read where it is asked for.

    Args:
        path: of the file.
        recent: decoded tiles and strips, shared by all files of an image.

    Raises:
        ValueError: the file is one that can only be decoded whole.
    """

    def __init__(self, path: Path, recent: Recent) -> None:
        self.path, self.recent = path, recent
        self._file = tifffile.TiffFile(path)
        self._series = self._file.series[0]
        self.axes, self.shape = self._series.axes, tuple(self._series.shape)
        self.dtype = np.dtype(self._series.dtype).newbyteorder("=")
        self._mapped: NDArray[Any] | None = None
        if self._series.dataoffset is not None:  # not compressed: the system reads what is used
            stored = self.dtype.newbyteorder(self._file.byteorder)
            self._mapped = np.memmap(path, stored, "r", self._series.dataoffset, self.shape)
        elif self._segment_pixels() > MAX_PIXELS:
            self._file.close()
            raise ValueError("a single strip that is too large")

    def close(self) -> None:
        """Close the file."""
        self._mapped = None
        self._file.close()

    def read(self, plane: int | None, rows: slice, columns: slice) -> NDArray[Any]:
        """Decode (h, w) pixels of a plane; of a colour picture, None gives the brightest band."""
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
        return np.ascontiguousarray(plane[rows, columns]).astype(self.dtype, copy=False)

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
                name = (str(self.path), number, index)
                found = self.recent.get(name, partial(self._decode, number, index))
                if found is not None:
                    found = found[..., 0 if separate or band is None else band]
                yield found, row * height, column * width

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
