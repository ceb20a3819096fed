"""Decoding picture files, with one clear error for whatever is wrong with one.

Every file is looked at before it is decoded: its kind by its first bytes (not its extension),
its size by its header, so that a decompression bomb costs nothing.
"""

import io
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.arrays import npy_header, npz_header, read_npy, read_npz
from hpa_mmdet.io.header import MAX_PIXELS, Header, check_pixels, check_ratio
from hpa_mmdet.io.png import SIGNATURE, decode_places, decode_png, png_header
from hpa_mmdet.io.tiff import OpenTiff, open_tiff, read_tiff

_KINDS = (
    (SIGNATURE, "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
)
_MOST_SCANS = 100  # of a JPEG; each is a pass over the whole picture
_JPEG_RATIO = 4096  # a block of one colour takes two bits
_FILE_MARGIN = 64 * 2**20  # what a PNG or JPEG may hold beside its pixels


class DecodedPicture(NamedTuple):
    """A decoded picture beside what its file says of it."""

    header: Header
    pixels: NDArray[np.generic]


def read_picture(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.generic]:
    """Decode a PNG, JPEG, TIFF, .npy or .npz as it is stored; palettes of PNG give their colours.

    Returns:
        (H, W) or (H, W, bands); a TIFF or array of other axes comes as it is.

    Raises:
        InputError: there is no file, it cannot be opened, is empty, truncated, too large
            or not a picture.
    """
    return read_with_header(path, max_pixels=max_pixels).pixels


def read_with_header(path: Path, *, max_pixels: int = MAX_PIXELS) -> DecodedPicture:
    """Decode as `read_picture`, and give the header too.

    Raises:
        InputError: as `read_picture`.
    """
    header: Header | None = None
    try:
        with ExitStack() as stack:
            kind, start = _kind(path)
            opened: OpenTiff | None = None
            if kind == "tiff":
                opened = stack.enter_context(open_tiff(path))
                header = opened.header
            else:
                header = _header(path, kind, start)
            check_pixels(path, header, max_pixels)
            pixels = _decode(path, header) if opened is None else read_tiff(opened)
            return DecodedPicture(header, pixels)
    except InputError:
        raise
    except MemoryError as error:
        shape = "a picture" if header is None else f"{header.shape} values"
        raise InputError(
            path, shape, "a picture that fits the memory", "use fewer --workers"
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
    header = read_header(path)
    check_pixels(path, header, max_pixels)
    try:
        return decode_places(_content(path, header), header)
    except Exception as error:  # the decoder has many kinds of error
        raise unreadable(path, error) from error


def read_header(path: Path) -> Header:
    """Read kind, size and depth without decoding.

    The structure of a TIFF is checked: that its pixels are in the file.

    Raises:
        InputError: there is no file, it cannot be opened, is empty or not a picture.
    """
    try:
        return _header(path, *_kind(path))
    except InputError:
        raise
    except Exception as error:  # each decoder has its own kinds of error
        raise unreadable(path, error) from error


def check_complete(path: Path, header: Header) -> None:
    """Refuse a PNG or JPEG that lacks its end; decodes nothing.

    `read_header` has seen that a TIFF is whole; .npy and .npz say so when they are decoded.

    Raises:
        InputError: the file is shorter than it should be.
    """
    if header.kind in ("png", "jpeg"):
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - 4096))  # some writers add bytes at the end
            end = handle.read()
        if (b"IEND" if header.kind == "png" else b"\xff\xd9") not in end:
            raise InputError(path, "a truncated picture", "a whole one", "copy or export it again")


def check_intensities(path: Path, header: Header) -> None:
    """Refuse pixels that are no intensities as everything here takes them.

    Raises:
        InputError: they are not unsigned integers of 8 or 16 bits, or the colours are CMYK.
    """
    if header.number not in "ub" or header.bits > 16:
        name = {"i": "int", "f": "float", "u": "uint"}.get(header.number, header.number)
        raise InputError(
            path,
            f"{name}{header.bits} pixels",
            "8 or 16 bit",
            "export intensities as 8 or 16 bit without a sign",
        )
    if header.kind == "jpeg" and header.shape[2:] == (4,):
        raise InputError(path, "a CMYK JPEG", "grey or RGB", "export it in grey or RGB")


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


def _kind(path: Path) -> tuple[str, bytes]:
    if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
        raise InputError(path, "no regular file", "a picture", "copy the picture there")
    with path.open("rb") as handle:
        start = handle.read(32)
    kind = next((kind for magic, kind in _KINDS if start.startswith(magic)), None)
    if kind is None:
        found = "an empty file" if not start else f"an unknown kind of file ({start[:8]!r})"
        raise InputError(path, found, "a PNG, JPEG, TIFF, .npy or .npz", "export the file again")
    return kind, start


def _header(path: Path, kind: str, start: bytes) -> Header:
    if kind == "png":
        return png_header(start)
    if kind == "tiff":
        with open_tiff(path) as opened:
            return opened.header
    with path.open("rb") as handle:
        if kind == "jpeg":
            with JpegImageFile(handle) as picture:
                bands = len(picture.getbands())
                shape = (picture.size[1], picture.size[0], bands)
            return Header("jpeg", shape if bands > 1 else shape[:2], "YXS"[: 2 + (bands > 1)], 8)
        return npy_header(handle) if kind == "npy" else npz_header(handle)


def _content(path: Path, header: Header) -> bytes:
    if path.stat().st_size > 2 * header.decoded_bytes + _FILE_MARGIN:
        raise ValueError("far more bytes than its pixels can take")
    return path.read_bytes()


def _decode(path: Path, header: Header) -> NDArray[np.generic]:
    if header.kind == "npy":
        return read_npy(path)
    if header.kind == "npz":
        return read_npz(path)
    content = _content(path, header)
    if header.kind == "png":
        return decode_png(content, header)
    if content.count(b"\xff\xda") > _MOST_SCANS:
        raise ValueError(f"more than {_MOST_SCANS} scans")
    check_ratio(header, len(content), _JPEG_RATIO)
    # not Image.open: it has a limit of its own, and ours was checked on the header
    with JpegImageFile(io.BytesIO(content)) as picture:
        return np.array(picture)
