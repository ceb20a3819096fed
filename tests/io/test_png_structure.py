"""What a PNG's header and chunks may say, held against the standard."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.header import Header, check_pixels, check_ratio
from hpa_mmdet.io.pictures import read_header, read_palette, read_picture
from hpa_mmdet.io.png import _checked

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# the standard's table 11.1: colour type, its samples, its depths
STANDARD = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (1, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}
GREY = (np.arange(15) * 9).astype(np.uint8).reshape(3, 5)


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def header(bits: int = 8, colour: int = 0, size_wh: tuple[int, int] = (5, 3)) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *size_wh, bits, colour, 0, 0, 0))


def rows_of(picture: np.ndarray, bits: int = 8) -> bytes:
    """The compressed rows of a grey or palette picture, several pixels in a byte."""
    rows = b""
    for row in picture:
        values = np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].ravel()
        rows += b"\0" + np.packbits(values).tobytes()
    return zlib.compress(rows)


def write(path: Path, chunks: Sequence[bytes]) -> Path:
    path.write_bytes(SIGNATURE + b"".join(chunks))
    return path


DATA, END = chunk(b"IDAT", rows_of(GREY)), chunk(b"IEND")
PALETTE = chunk(b"PLTE", bytes([0, 0, 0, 10, 20, 30, 40, 50, 60]))


@pytest.mark.parametrize("colour", range(8))
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8, 16, 32])
def test_colours_and_depths_are_those_of_the_standard(
    tmp_path: Path, colour: int, bits: int
) -> None:
    path = write(tmp_path / "a.png", [header(bits, colour), DATA, END])
    samples, depths = STANDARD.get(colour, (0, ()))
    if bits not in depths:
        with pytest.raises(InputError, match="a damaged PNG header"):
            read_header(path)
        return
    found = read_header(path)
    assert (found.kind, found.bits, found.png_colour, found.black) == ("png", bits, colour, 0)
    assert found.shape == ((3, 5) if samples == 1 else (3, 5, samples))
    assert found.size_wh == (5, 3)


@pytest.mark.parametrize("size_wh", [(0, 3), (5, 0)])
def test_a_picture_has_pixels(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="a damaged PNG header"):
        read_header(write(tmp_path / "a.png", [header(size_wh=size_wh), DATA, END]))


@pytest.mark.parametrize(
    "first", [chunk(b"IHDR", bytes(12)), chunk(b"iHDR", header()[8:21]), PALETTE]
)
def test_the_header_comes_first_and_has_13_bytes(tmp_path: Path, first: bytes) -> None:
    with pytest.raises(InputError, match="a damaged PNG header"):
        read_header(write(tmp_path / "a.png", [first, DATA, END]))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_values_of_few_bits_count_from_zero(tmp_path: Path, bits: int) -> None:
    picture = (np.arange(15) % 2**bits).astype(np.uint8).reshape(3, 5)
    body = chunk(b"IDAT", rows_of(picture, bits))
    read = read_picture(write(tmp_path / "a.png", [header(bits), body, END]))
    assert read.tolist() == picture.tolist()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_palette_gives_places_and_colours(tmp_path: Path, bits: int) -> None:
    places = (np.arange(15) % 3).astype(np.uint8).reshape(3, 5)
    body = chunk(b"IDAT", rows_of(places, bits))
    path = write(tmp_path / "a.png", [header(bits, 3), PALETTE, body, END])
    found, palette = read_palette(path)
    assert found.tolist() == places.tolist()
    assert palette.shape == (256, 3)
    assert palette[:3].tolist() == [[0, 0, 0], [10, 20, 30], [40, 50, 60]]
    assert not palette[3:].any()
    assert (read_picture(path) == palette[places]).all()
    seen = chunk(b"tRNS", bytes([0]))  # the first colour cannot be seen
    path = write(tmp_path / "b.png", [header(bits, 3), PALETTE, seen, body, END])
    assert read_picture(path)[0, :2].tolist() == [[0, 0, 0, 0], [10, 20, 30, 255]]


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        pytest.param([header(), DATA], "truncated", id="no end"),
        pytest.param([header(), DATA, END[:-1]], "truncated", id="an end without its sum"),
        pytest.param([header(), DATA[:-1]], "truncated", id="data without their sum"),
        pytest.param([header(), END], "no header or no data", id="no data"),
        pytest.param([header(), DATA, header(), END], "a second IHDR chunk", id="two headers"),
        pytest.param(
            [header(), DATA, chunk(b"tEXt"), DATA, END], "a second IDAT chunk", id="data apart"
        ),
        pytest.param([header(8, 3), PALETTE, PALETTE, DATA, END], "a second PLTE", id="palettes"),
        pytest.param([header(), chunk(b"ABcd"), DATA, END], "an unknown chunk", id="unknown"),
    ],
)
def test_chunks_out_of_order_are_refused(tmp_path: Path, chunks: list[bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_picture(write(tmp_path / "a.png", chunks))


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([header(), chunk(b"aBcd", b"x"), DATA, END], id="a chunk that may be left"),
        pytest.param([header(), PALETTE, DATA, END], id="a palette of a grey picture"),
        pytest.param([header(), chunk(b"tRNS", b"\0\1"), DATA, END], id="a value to see through"),
        pytest.param([header(), DATA, END, b"more"], id="bytes behind the end"),
        pytest.param(
            [header(), chunk(b"IDAT", rows_of(GREY)[:9]), chunk(b"IDAT", rows_of(GREY)[9:]), END],
            id="data in two pieces",
        ),
    ],
)
def test_what_only_describes_a_picture_does_no_harm(tmp_path: Path, chunks: list[bytes]) -> None:
    assert read_picture(write(tmp_path / "a.png", chunks)).tolist() == GREY.tolist()


def test_a_picture_may_have_just_as_many_pixels_and_bytes_as_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    check_pixels(path, Header("npy", (3, 5, 4), "YXS", 8), 15)
    check_pixels(path, Header("npy", (3, 5), "YX", 32), 15)
    check_pixels(path, Header("png", (3, 5), "YX", 1), 15)
    with pytest.raises(InputError, match="found 3x5 values in its header, expected at most 14 pix"):
        check_pixels(path, Header("png", (3, 5), "YX", 1), 14)
    with pytest.raises(
        InputError, match=r"3x5x5 values of 8 bits in its header, .* at most 60 byt"
    ):
        check_pixels(path, Header("npy", (3, 5, 5), "YXS", 8), 15)
    with pytest.raises(InputError, match="at most 60 bytes"):
        check_pixels(path, Header("npy", (3, 5), "YX", 33), 15)


def test_few_stored_bytes_give_a_fixed_number_and_so_many_for_each() -> None:
    mib_64 = 64 * 2**20
    check_ratio(Header("png", (mib_64 + 70, 1), "YX", 8), 7, 10)
    with pytest.raises(ValueError, match="truncated: 67108935 bytes announced, 7 bytes stored"):
        check_ratio(Header("png", (mib_64 + 71, 1), "YX", 8), 7, 10)


def test_a_stored_byte_of_a_png_gives_at_most_1032() -> None:
    content = SIGNATURE + header() + chunk(b"IDAT", bytes(7)) + END
    most = 64 * 2**20 + 7 * 1032  # deflate's own bound
    assert _checked(content, Header("png", (most, 1), "YX", 8), palette=False) == content
    with pytest.raises(ValueError, match="truncated: "):
        _checked(content, Header("png", (most + 1, 1), "YX", 8), palette=False)
