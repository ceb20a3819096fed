"""TIFF files: their structure is checked before tifffile reads them, and their reading bounded.

tifffile follows whatever a file says. So its directories are walked here first: what decoding
needs must be there, of its type, and inside the file. tifffile then reads through a handle that
counts, so that a picture which takes too many reads or too long fails alone. Other files that an
OME-TIFF names are never opened.
"""

import io
import logging
import math
import re
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
import tifffile
from numpy.typing import NDArray

from hpa_mmdet.io.header import Header, check_ratio

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters is raised below

MOST_SECONDS = 120.0
"""Time that parsing and decoding one TIFF may take."""
_MOST_PAGES = 10_000
_MOST_TAGS = 1_000
_MOST_SEGMENTS = 2**20
_READS_PER_PAGE = 100
_MOST_EXPANDED = 20_000  # decoded bytes for one of the file; unwritten tiles take none
_SMALL_SEGMENT = 64 * 2**20
_MOST_PLANES = 6  # digits of a number of planes in metadata

# what tifffile need not look for: formats of vendors, each with a parser of its own
_OF_ALL = {"ome", "imagej", "shaped"} | {"final", "frame", "multipage", "subifd", "uniform"}
_OF_VENDORS: dict[str, Any] = {
    f"is_{name}": False for name in tifffile.TIFF.FILE_FLAGS - _OF_ALL - {"virtual", "volumetric"}
}
_OME_NUMBER = re.compile(
    r'\b(?:Size[CZT]|PlaneCount|NumPlanes|First[CZT]|IFD|Start|End|Step)="([^"]*)"'
)

# none, LZW, JPEG, deflate, packbits, deflate, JPEG 2000 (three), LZMA, zstd, deflate
_COMPRESSIONS = {1, 5, 7, 8, 32773, 32946, 33003, 33005, 34712, 34925, 50000, 50013}
_PHOTOMETRIC = {0, 1, 2, 3, 6}  # 0 is white, 0 is black, RGB, palette, YCbCr

_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTO, _OFFSETS, _SAMPLES, _ROWS, _COUNTS = (
    256, 257, 258, 259, 262, 273, 277, 278, 279,
)  # fmt: skip
_PLANAR, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_COUNTS = 284, 322, 323, 324, 325
_SINGLE = {
    _WIDTH,
    _LENGTH,
    _COMPRESSION,
    _PHOTO,
    _SAMPLES,
    _ROWS,
    _PLANAR,
    _TILE_WIDTH,
    _TILE_LENGTH,
}
_LISTS = {_BITS, _OFFSETS, _COUNTS, _TILE_OFFSETS, _TILE_COUNTS}
_PER_SAMPLE = {317, 338, 339}


class OpenTiff(NamedTuple):
    """An open TIFF: the file, its first series and its header."""

    file: tifffile.TiffFile
    series: tifffile.TiffPageSeries
    header: Header


@contextmanager
def open_tiff(path: Path, *, kept_open: bool = False) -> Iterator[OpenTiff]:
    """Open a TIFF whose structure is sound, and close it when the block ends.

    Args:
        path: of the file.
        kept_open: bound the parsing only, because parts will be read at any time.

    Raises:
        ValueError: the file is damaged, or takes too long to read. tifffile and its decoders
            have other kinds of exception too.
    """
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        size = path.stat().st_size
        pages = check_structure(raw, size)
        raw.seek(0)
        handle = _CountingHandle(raw, _READS_PER_PAGE * (10 + pages))
        try:
            file = stack.enter_context(_parse(cast("IO[bytes]", handle), path.name))
            opened = _first_series(file, size)
            keyframe = opened.series.keyframe
            handle.reads_left += 4 * len(keyframe.dataoffsets) * len(opened.series.pages) + 1000
            if kept_open:
                handle.reads_left, handle.end = sys.maxsize, math.inf
            yield opened
        except _GaveUp as error:
            raise ValueError(str(error)) from error


def read_tiff(opened: OpenTiff) -> NDArray[np.generic]:
    """Decode the first series of an open file, as stored.

    Raises:
        ValueError: the file announces far more than it holds.
    """
    check_ratio(opened.header, opened.file.filehandle.size, _MOST_EXPANDED)
    return np.asarray(opened.series.asarray())


def check_structure(handle: IO[bytes], size: int) -> int:
    """Walk the directories of a TIFF.

    Each must say size, kind and place of its pixels, in numbers, and these must be in the file.

    Returns:
        How many directories (pages) there are.

    Raises:
        ValueError: something is not in the file, not a number, or stands in a circle.
    """
    start = handle.read(16)
    order = {b"II": "<", b"MM": ">"}[start[:2]]
    big = struct.unpack(order + "H", start[2:4])[0] == 43
    if big and start[4:8] != struct.pack(order + "HH", 8, 0):
        raise ValueError("a damaged BigTIFF header")
    layout = _Layout(handle, size, order, big)
    offset = struct.unpack(order + "Q", start[8:16])[0] if big else layout.number(start[4:8])
    if not offset:
        raise ValueError("no picture in it")
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) >= _MOST_PAGES:
            raise ValueError("a damaged chain of pages")
        seen.add(offset)
        tags, offset = layout.directory(offset)
        _check_page(tags, size)
    return len(seen)


class _Layout:
    """The directories of one file."""

    def __init__(self, handle: IO[bytes], size: int, order: str, big: bool) -> None:
        self.handle, self.size, self.order, self.big = handle, size, order, big
        self._entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))

    def number(self, content: bytes) -> int:
        return int.from_bytes(content, "little" if self.order == "<" else "big")

    def read(self, offset: int, length: int) -> bytes:
        if not 0 < offset <= self.size - length:
            raise ValueError("truncated, or a place outside the file")
        self.handle.seek(offset)
        return self.handle.read(length)

    def directory(self, offset: int) -> tuple[dict[int, Sequence[int]], int]:
        """Read the numbers that decoding needs, and where the next directory is."""
        wide, count_bytes = (8, 8) if self.big else (4, 2)
        count = self.number(self.read(offset, count_bytes))
        if not 0 < count <= _MOST_TAGS:
            raise ValueError(f"a page of {count} tags")
        length = count * self._entry.size
        content = self.read(offset + count_bytes, length + wide)
        tags: dict[int, Sequence[int]] = {}
        for tag, kind, values, value in self._entry.iter_unpack(content[:length]):
            if tag in _SINGLE | _LISTS | _PER_SAMPLE:
                tags[tag] = self._numbers(tag, kind, values, value)
        return tags, self.number(content[length:])

    def _numbers(self, tag: int, kind: int, count: int, value: bytes) -> Sequence[int]:
        if kind not in _INTEGERS or not 0 < count <= _MOST_SEGMENTS:
            raise ValueError(f"a damaged tag {tag}")
        if (tag in _SINGLE and count > 1) or (tag in _PER_SAMPLE | {_BITS} and count > 64):
            raise ValueError(f"{count} values of tag {tag}")
        form = struct.Struct(f"{self.order}{count}{_INTEGERS[kind]}")
        inline = form.size <= len(value)
        return form.unpack(
            value[: form.size] if inline else self.read(self.number(value), form.size)
        )


def _check_page(tags: dict[int, Sequence[int]], size: int) -> None:
    width, length = _single(tags, _WIDTH, 0), _single(tags, _LENGTH, 0)
    if not width * length:
        raise ValueError("a page without width and length")
    compression, colours = _single(tags, _COMPRESSION, 1), _single(tags, _PHOTO, 1)
    if compression not in _COMPRESSIONS:
        raise ValueError(f"compression {compression}; save it with deflate, LZW or none")
    if colours not in _PHOTOMETRIC:
        raise ValueError(f"colours of kind {colours}; save it in grey or RGB")
    offsets = tags.get(_OFFSETS) or tags.get(_TILE_OFFSETS) or ()
    counts = tags.get(_COUNTS) or tags.get(_TILE_COUNTS) or ()
    if not offsets or (counts and len(counts) != len(offsets)):
        raise ValueError("a page without places of its pixels")
    if any(offset + count > size for offset, count in zip(offsets, counts, strict=bool(counts))):
        raise ValueError("truncated: pixels outside the file")
    if sum(counts) > 2 * size:
        raise ValueError("pixels that are stored once and named many times")
    expected = _expected_segments(tags, width, length)
    if len(offsets) < expected:
        raise ValueError(f"truncated: {len(offsets)} of {expected} strips or tiles")


def _expected_segments(tags: dict[int, Sequence[int]], width: int, length: int) -> int:
    apart = _single(tags, _SAMPLES, 1) if _single(tags, _PLANAR, 1) == 2 else 1
    if _TILE_WIDTH not in tags or _TILE_LENGTH not in tags:
        rows = max(1, _single(tags, _ROWS, length))
        return -(-length // rows) * apart
    tile_width, tile_length = _single(tags, _TILE_WIDTH, 1), _single(tags, _TILE_LENGTH, 1)
    tile = tile_width * tile_length
    if not tile or tile > max(_SMALL_SEGMENT, 4 * width * length):
        raise ValueError("tiles larger than the picture")
    return -(-width // tile_width) * -(-length // tile_length) * apart


def _single(tags: dict[int, Sequence[int]], tag: int, default: int) -> int:
    return tags.get(tag, (default,))[0]


def _parse(handle: IO[bytes], name: str) -> tifffile.TiffFile:
    """Open with tifffile; an OME-TIFF that names what it does not hold is read by its own pages."""
    file = tifffile.TiffFile(handle, name=name, _multifile=False, **_OF_VENDORS)
    if not file.is_ome:
        return file
    text = file.pages.first.description
    numbers = _OME_NUMBER.findall(text)
    sound = all(len(number) <= _MOST_PLANES for number in numbers) and "<!" not in text[:2000]
    if sound and not any(page is None for page in _pages(file)):
        return file
    handle.seek(0)
    return tifffile.TiffFile(handle, name=name, _multifile=False, is_ome=False, **_OF_VENDORS)


def _pages(file: tifffile.TiffFile) -> Sequence[Any]:
    return list(file.series[0].pages) if file.series else [None]


def _first_series(file: tifffile.TiffFile, size: int) -> OpenTiff:
    if not file.series:
        raise ValueError("no picture in it")
    series = file.series[0]
    axes, shape = series.axes, tuple(series.shape)
    dtype = series.dtype
    if dtype is None or dtype.kind not in "buif" or not {"Y", "X"} <= set(axes):
        raise ValueError("no picture in it")
    keyframe = series.keyframe
    black = 2**keyframe.bitspersample - 1 if keyframe.photometric == 0 else 0
    header = Header("tiff", shape, axes, dtype.itemsize * 8, dtype.kind, black=black)
    stored = series.dataoffset is not None and series.dataoffset + header.decoded_bytes <= size
    found = sum(page is not None for page in series.pages) * keyframe.size
    if not stored and found * dtype.itemsize != header.decoded_bytes:
        raise ValueError(f"{'x'.join(map(str, shape))} values announced, {found} in the file")
    return OpenTiff(file, series, header)


class _GaveUp(BaseException):
    """Passes through the `except Exception` of tifffile's parsers."""


class _CountingHandle(io.RawIOBase):
    """A file that may be read so often, and for so long."""

    def __init__(self, raw: IO[bytes], reads: int) -> None:
        self._raw, self.reads_left = raw, reads
        self.end = time.monotonic() + MOST_SECONDS

    def _count(self) -> None:
        self.reads_left -= 1
        if self.reads_left < 0:
            raise _GaveUp("more places to read than its pages need")
        if time.monotonic() > self.end:
            raise _GaveUp(f"it took more than {MOST_SECONDS:g} seconds")

    def read(self, size: int = -1) -> bytes:
        self._count()
        return self._raw.read(size)

    def readinto(self, buffer: Any) -> int:
        self._count()
        return int(self._raw.readinto(buffer))  # type: ignore[attr-defined]

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()
