"""PNG files: their chunks are checked before a decoder sees them.

kornia-rs decodes what is usual (grey, RGB and RGBA of 8 and 16 bits), more than twice as fast
as libpng. Palettes, grey with transparency and pictures of less than 8 bits go to Pillow.
imagecodecs' `png_decode` is not used: it drops a reference to None with each damaged file,
which ends in an abort of Python.
"""

import io
import struct
from collections.abc import Iterator

import kornia_rs.io
import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from hpa_mmdet.io.header import PNG_PALETTE, Header, check_ratio

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BANDS = {0: 1, 2: 3, PNG_PALETTE: 1, 4: 2, 6: 4}
_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), PNG_PALETTE: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_MODES = {0: "mono", 2: "rgb", 6: "rgba"}
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_MOST_INFLATED = 1032  # deflate gives at most so many bytes for one


def png_header(start: bytes) -> Header:
    """Read the header from the first 29 bytes.

    Raises:
        ValueError: they are no header of a PNG.
    """
    length, name, width, height, bits, colour = struct.unpack(">I4sIIBB", start[8:26])
    if length != 13 or name != b"IHDR" or bits not in _BITS.get(colour, ()) or not width * height:
        raise ValueError("a damaged PNG header")
    if _BANDS[colour] == 1:
        return Header("png", (height, width), "YX", bits, png_colour=colour)
    return Header("png", (height, width, _BANDS[colour]), "YXS", bits, png_colour=colour)


def decode_png(content: bytes, header: Header) -> NDArray[np.generic]:
    """Decode a PNG as it is stored; a palette gives its colours.

    Returns:
        (H, W) or (H, W, bands).

    Raises:
        ValueError: the file is damaged. Decoders have other kinds of exception too.
    """
    content = _checked(content, header, palette=header.png_colour == PNG_PALETTE)
    if header.png_colour in _MODES and header.bits >= 8:
        return _decode_fast(content, header)
    with PngImageFile(io.BytesIO(content)) as picture:
        if header.png_colour == PNG_PALETTE:
            return np.array(picture.convert("RGBA" if "transparency" in picture.info else "RGB"))
        if header.bits < 8:
            # Pillow spreads 1, 2 and 4 bit over 0..255; as stored they count from 0
            steps = 1 if header.bits == 1 else 255 // (2**header.bits - 1)
            return np.array(picture).astype(np.uint8) // steps
        if header.bits == 8:
            return np.array(picture)
    raise ValueError("16-bit grey with transparency; save it without")  # Pillow cuts it to 8 bits


def decode_places(content: bytes, header: Header) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Decode a palette PNG to its places and its colours.

    Returns:
        (H, W) places and (256, 3) colours, black where the palette has fewer.

    Raises:
        ValueError: the file is damaged. The decoder has other kinds of exception too.
    """
    with PngImageFile(io.BytesIO(_checked(content, header, palette=True))) as picture:
        places = np.array(picture)
        colours = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    return places, palette


def _decode_fast(content: bytes, header: Header) -> NDArray[np.generic]:
    decode = (
        kornia_rs.io.decode_image_png_u8 if header.bits == 8 else kornia_rs.io.decode_image_png_u16
    )
    try:
        decoded = np.asarray(decode(content, header.shape[:2], _MODES[header.png_colour]))
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # of Rust, and no Exception
            raise ValueError(str(error)) from None
        raise
    if decoded.size != np.prod(header.shape):
        raise ValueError(f"a picture of {decoded.shape}, not {header.shape}")
    return decoded.reshape(header.shape)


def _checked(content: bytes, header: Header, *, palette: bool) -> bytes:
    """Check the order of the chunks, and leave out all that only describe the picture.

    So decoders see one header, one run of data and nothing that could unpack to more.
    """
    names: list[bytes] = []
    kept: list[memoryview] = []
    view, data_bytes = memoryview(content), 0
    for name, begin, end in _chunks(content):
        if name == b"IDAT":
            data_bytes += end - begin - 12
        if name in _KEPT and (palette or name not in (b"PLTE", b"tRNS")):
            kept.append(view[begin:end])
        elif not name[0] & 0x20 and name != b"PLTE":
            raise ValueError(f"an unknown chunk {name!r}")
        if name != b"IDAT" or names[-1:] != [b"IDAT"]:
            names.append(name)
    twice = [name.decode() for name in _KEPT if names.count(name) > 1]
    if twice or names[0] != b"IHDR" or b"IDAT" not in names:
        raise ValueError(f"a second {twice[0]} chunk" if twice else "no header or no data")
    check_ratio(header, data_bytes, _MOST_INFLATED)
    return b"".join([view[: len(SIGNATURE)], *kept])


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give name, begin and end of each chunk up to the last, IEND."""
    begin, name = len(SIGNATURE), b""
    while name != b"IEND":
        if begin + 12 > len(content):
            raise ValueError("truncated")
        length, name = struct.unpack_from(">I4s", content, begin)
        end = begin + 12 + length
        if end > len(content):
            raise ValueError("truncated")
        yield name, begin, end
        begin = end
