"""Decoding picture files, with one clear error for whatever is wrong with one.

Every file is looked at before it is decoded: its kind by its first bytes (not its
extension), its size by its header, so that a decompression bomb costs nothing.
"""

import struct
import zipfile
from pathlib import Path
from typing import IO, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from hpa_mmdet.errors import InputError

MAX_PIXELS = 512 * 2**20
"""Largest picture that is decoded (about 23,000 x 23,000) unless a caller says otherwise."""

_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
)
PNG_PALETTE = 3
"""`Header.png_colour` of a PNG whose pixels are places in a palette."""
_PNG_BANDS = {0: 1, 2: 3, PNG_PALETTE: 1, 4: 2, 6: 4}


class Header(NamedTuple):
    """What a file says of its picture: `shape` as stored, `axes` a letter for each.

    Y and X are rows and columns, S the bands of a colour picture, C channels, others as
    TIFF names them. `png_colour` is the colour type of a PNG and -1 elsewhere.
    """

    kind: str
    shape: tuple[int, ...]
    axes: str
    bits: int
    png_colour: int = -1

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.shape[self.axes.index("X")], self.shape[self.axes.index("Y")]


def read_picture(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.generic]:
    """Decode a PNG, JPEG, TIFF, .npy or .npz as it is stored; palettes give their colours.

    Returns:
        (H, W) or (H, W, bands); a TIFF or array of other axes comes as it is.

    Raises:
        InputError: there is no file, it cannot be opened, is empty, truncated, too large
            or not a picture.
    """
    header = read_header(path)
    check_pixels(path, header, max_pixels)
    try:
        return _decode(path, header)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            path, f"{header.shape} values", "a picture that fits the memory", "use fewer --workers"
        ) from error
    except Exception as error:  # each decoder has its own kinds of error
        raise unreadable(path, error) from error


def read_palette(
    path: Path, *, max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Decode a palette PNG to its places and its colours.

    Returns:
        (H, W) places and (256, 3) colours, black where the palette has fewer.

    Raises:
        InputError: as `read_picture`.
    """
    check_pixels(path, read_header(path), max_pixels)
    try:
        with path.open("rb") as handle, PngImageFile(handle) as picture:
            places = np.array(picture)
            colours = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    except Exception as error:  # the decoder has many kinds of error
        raise unreadable(path, error) from error
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    return places, palette


def read_header(path: Path) -> Header:
    """Read kind, size and depth without decoding.

    Raises:
        InputError: there is no file, it cannot be opened, is empty or not a picture.
    """
    try:
        with path.open("rb") as handle:
            start = handle.read(32)
            kind = next((kind for magic, kind in _KINDS if start.startswith(magic)), None)
            if kind is None:
                found = "an empty file" if not start else f"an unknown kind of file ({start[:8]!r})"
                raise InputError(
                    path, found, "a PNG, JPEG, TIFF, .npy or .npz", "export the file again"
                )
            if kind == "png":
                return _png_header(start)
            handle.seek(0)
            return {"jpeg": _jpeg_header, "tiff": _tiff_header, "npy": _npy_header}.get(
                kind, _npz_header
            )(handle)
    except InputError:
        raise
    except Exception as error:  # each decoder has its own kinds of error
        raise unreadable(path, error) from error


def check_pixels(path: Path, header: Header, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse a picture whose header announces too much.

    Raises:
        InputError: more than `max_pixels` pixels.
    """
    width, height = header.size_wh
    values = int(np.prod(header.shape, dtype=object))
    if width * height > max_pixels or values > 16 * max_pixels:
        raise InputError(
            path,
            f"{'x'.join(map(str, header.shape))} values in its header",
            f"at most {max_pixels} pixels",
            "raise --max-pixels if the file is really that large",
        )


def check_complete(path: Path, header: Header) -> None:
    """Refuse a PNG or JPEG that lacks its end, or a TIFF that lacks data; decodes nothing.

    Raises:
        InputError: the file is shorter than it should be.
    """
    size = path.stat().st_size
    if header.kind == "tiff":
        with tifffile.TiffFile(path) as tiff:
            whole = all(
                offset + count <= size
                for page in tiff.series[0].pages
                if page is not None
                for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
            )
    elif header.kind in ("png", "jpeg"):
        with path.open("rb") as handle:
            handle.seek(max(0, size - 4096))  # some writers leave bytes behind the end
            whole = (b"IEND" if header.kind == "png" else b"\xff\xd9") in handle.read()
    else:
        whole = True  # .npy and .npz say so when they are decoded
    if not whole:
        raise InputError(path, "a truncated picture", "a whole one", "copy or export it again")


def unreadable(path: Path, error: Exception) -> InputError:
    """Say why a file cannot be read and what helps."""
    expected = "a whole PNG, JPEG, TIFF, .npy or .npz"
    if isinstance(error, FileNotFoundError):
        return InputError(path, "no file", "a picture", "check the path")
    if isinstance(error, PermissionError):
        return InputError(path, "a file that may not be read", "one that may", "chmod u+r it")
    if isinstance(error, IsADirectoryError):
        return InputError(path, "a folder", "a picture", "check the path")
    if isinstance(error, OSError) and error.strerror:  # such as a loop of links
        return InputError(path, error.strerror, "a picture", "check the path and its links")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(path, f"an unreadable picture ({reason})", expected, "export it again")


def _png_header(start: bytes) -> Header:
    width, height, bits, colour = struct.unpack(">IIBB", start[16:26])
    bands = _PNG_BANDS[colour]
    if bands == 1:
        return Header("png", (height, width), "YX", bits, colour)
    return Header("png", (height, width, bands), "YXS", bits, colour)


def _jpeg_header(handle: IO[bytes]) -> Header:
    with JpegImageFile(handle) as picture:
        width, height = picture.size
        bands = len(picture.getbands())
    shape, axes = ((height, width), "YX") if bands == 1 else ((height, width, bands), "YXS")
    return Header("jpeg", shape, axes, 8)


def _tiff_header(handle: IO[bytes]) -> Header:
    with tifffile.TiffFile(handle) as tiff:
        if not tiff.series:
            raise ValueError("no picture in it")
        series = tiff.series[0]
        return Header("tiff", tuple(series.shape), series.axes, series.dtype.itemsize * 8)


def _npy_header(handle: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(handle)
    reader = (
        np.lib.format.read_array_header_1_0
        if version[0] == 1
        else (np.lib.format.read_array_header_2_0)
    )
    shape, _, dtype = reader(handle)
    if dtype.hasobject:
        raise ValueError("pickled objects; save a plain array")
    axes = {2: "YX", 3: "YXS"}.get(len(shape))
    if axes is None:
        raise ValueError(f"an array of {len(shape)} axes, not 2")
    return Header("npy", shape, axes, dtype.itemsize * 8)


def _npz_header(handle: IO[bytes]) -> Header:
    with zipfile.ZipFile(handle) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f"{len(names)} arrays ({', '.join(names[:4])}), not 1")
        with archive.open(names[0]) as member:
            return _npy_header(member)._replace(kind="npz")


def _decode(path: Path, header: Header) -> NDArray[np.generic]:
    if header.kind == "tiff":
        with tifffile.TiffFile(path) as tiff:
            return np.asarray(tiff.series[0].asarray())
    if header.kind == "npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if header.kind == "npz":
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(next(iter(archive.values())))
    if header.kind == "png" and header.png_colour != PNG_PALETTE and header.bits >= 8:
        # twice as fast as Pillow, which also cuts 16-bit colour to 8 bit
        decoded = np.asarray(imagecodecs.png_decode(path.read_bytes()))
        if decoded.shape == header.shape:  # not where transparency has become a band
            return decoded
    return _decode_with_pillow(path, header)


def _decode_with_pillow(path: Path, header: Header) -> NDArray[np.generic]:
    # not Image.open: it has a limit of its own, and ours was checked on the header
    open_file = JpegImageFile if header.kind == "jpeg" else PngImageFile
    with path.open("rb") as handle, open_file(handle) as picture:
        if header.png_colour == PNG_PALETTE:
            bands = "RGBA" if "transparency" in picture.info else "RGB"
            return np.array(picture.convert(bands))
        if header.png_colour == 0 and header.bits < 8:
            # Pillow spreads 1, 2 and 4 bit over 0..255; as stored they count from 0
            steps = 1 if header.bits == 1 else 255 // (2**header.bits - 1)
            return np.array(picture).astype(np.uint8) // steps
        return np.array(picture)
