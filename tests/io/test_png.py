"""PNG: what is described beside the pixels is left out, and damage does no lasting harm."""

import io
import struct
import sys
import zlib
from pathlib import Path

import imagecodecs
import kornia_rs.io
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.pictures import read_picture

GREY = (np.arange(23 * 40).reshape(23, 40) % 251).astype(np.uint8)


def content_of(picture: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", **options)
    return stream.getvalue()


def damaged(content: bytes) -> list[bytes]:
    """A wrong checksum, a wrong stream under a right checksum, a cut."""
    at = content.index(b"IDAT")
    (length,) = struct.unpack(">I", content[at - 4 : at])
    body = b"IDAT" + content[at + 4 : at + 20] + bytes(length - 16)
    fixed = content[:at] + body + struct.pack(">I", zlib.crc32(body)) + content[at + 8 + length :]
    return [content[: at + 9] + b"~" + content[at + 10 :], fixed, content[:-30]]


@pytest.mark.parametrize("picture", [GREY, GREY.astype(np.uint16) * 200], ids=["8 bit", "16 bit"])
def test_damaged_files_cost_no_reference_of_none(tmp_path: Path, picture: np.ndarray) -> None:
    path = tmp_path / "a.png"
    kinds = damaged(content_of(picture))
    before = sys.getrefcount(None)
    for count in range(3_000):
        path.write_bytes(kinds[count % 3])
        with pytest.raises(InputError, match="found an unreadable picture"):
            read_picture(path)
    assert sys.getrefcount(None) > before - 300


def test_what_only_describes_the_picture_is_not_unpacked(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("note", "x" * 10_000_000, zip=True)
    path = tmp_path / "a.png"
    path.write_bytes(content_of(GREY, pnginfo=text, icc_profile=bytes(100_000)))
    assert (read_picture(path) == GREY).all()


@pytest.mark.parametrize(
    ("bands", "dtype"),
    [*((bands, np.uint8) for bands in (1, 2, 3, 4)), *((bands, np.uint16) for bands in (1, 3, 4))],
)
def test_bands_of_both_depths_come_as_they_were_stored(
    tmp_path: Path, bands: int, dtype: type
) -> None:
    picture = np.dstack([GREY.astype(dtype) * 3 + band for band in range(bands)])
    picture = picture[..., 0] if bands == 1 else picture
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(picture))
    read = read_picture(tmp_path / "a.png")
    assert read.dtype == dtype
    assert (read == picture).all()


def test_16_bit_grey_with_transparency_is_refused(tmp_path: Path) -> None:
    picture = np.dstack([GREY, GREY]).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(picture))
    with pytest.raises(InputError, match="16-bit grey with transparency; save it without"):
        read_picture(tmp_path / "a.png")


def test_a_panic_of_the_decoder_is_an_error_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):
        """As PyO3 raises it."""

    def panic(*_: object) -> None:
        raise PanicException("index out of bounds")

    monkeypatch.setattr(kornia_rs.io, "decode_image_png_u8", panic)
    (tmp_path / "a.png").write_bytes(content_of(GREY))
    with pytest.raises(InputError, match=r"unreadable picture \(index out of bounds\)"):
        read_picture(tmp_path / "a.png")
