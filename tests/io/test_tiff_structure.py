"""What a TIFF must say of its pixels, at the edges of what is allowed."""

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiff_files import GREY, LONG, SHORT, Tag, page, write, write_big

from hpa_mmdet.errors import InputError
from hpa_mmdet.io import tiff
from hpa_mmdet.io.pictures import read_header, read_picture


def pages_of(path: Path) -> int:
    with path.open("rb") as handle:
        return tiff.check_structure(handle, path.stat().st_size)


# by the TIFF 6 specification, its supplements, and what microscopes write
CODES = {
    "none": 1, "LZW": 5, "JPEG": 7, "deflate": 8, "packbits": 32773, "older deflate": 32946,
    "JPEG 2000 of Aperio, YCbCr": 33003, "JPEG 2000 of Aperio, RGB": 33005, "JPEG 2000": 34712,
    "LZMA": 34925, "zstd": 50000, "deflate of PixTIFF": 50013,
}  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_compressions_that_can_be_decoded_are_let_through(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.tif", page(compression=(259, SHORT, 1, CODES[name])))
    assert pages_of(path) == 1


@pytest.mark.parametrize("kind", range(9))
def test_colours_are_white_black_rgb_palette_or_ycbcr(tmp_path: Path, kind: int) -> None:
    path = write(tmp_path / "a.tif", page(photometric=(262, SHORT, 1, kind)))
    if kind in (0, 1, 2, 3, 6):
        assert pages_of(path) == 1
    else:
        with pytest.raises(ValueError, match=f"colours of kind {kind}"):
            pages_of(path)


@pytest.mark.parametrize("kind", [1, 3, 4, 13], ids=["byte", "short", "long", "place"])
def test_numbers_of_every_whole_kind_are_read(tmp_path: Path, kind: int) -> None:
    tags = page(width=(256, kind, 1, 40), length=(257, kind, 1, 23))
    path = write(tmp_path / "a.tif", tags)
    assert pages_of(path) == 1
    if kind != 1:  # bytes are numbers to this check, but not to tifffile
        assert read_header(path).size_wh == (40, 23)
    assert pages_of(write_big(tmp_path / "b.tif", tags)) == 1


@pytest.mark.parametrize("kind", [16, 18], ids=["long", "place"])
def test_numbers_of_8_bytes_are_read(tmp_path: Path, kind: int) -> None:
    tags = page(offsets=(273, kind, 1, 1000), counts=(279, kind, 1, 920))
    path = write_big(tmp_path / "a.tif", tags)
    assert (read_picture(path) == GREY).all()


@pytest.mark.parametrize("kind", [0, 2, 5, 6, 11, 12], ids=str)
def test_numbers_of_other_kinds_are_damaged_tags(tmp_path: Path, kind: int) -> None:
    with pytest.raises(ValueError, match="a damaged tag 256"):
        pages_of(write(tmp_path / "a.tif", page(width=(256, kind, 1, 40))))


@pytest.mark.parametrize("tag", [256, 257, 259, 262, 277, 278, 284, 322, 323])
def test_what_a_page_says_once_is_one_number(tmp_path: Path, tag: int) -> None:
    tags = [*(known for known in page() if known[0] != tag), (tag, SHORT, 2, 1)]
    with pytest.raises(ValueError, match=f"2 values of tag {tag}"):
        pages_of(write(tmp_path / "a.tif", tags))


@pytest.mark.parametrize("tag", [258, 317, 338, 339])
def test_what_a_page_says_of_each_sample_is_bounded(tmp_path: Path, tag: int) -> None:
    for count, is_sound in ((64, True), (65, False)):
        tags = [*(known for known in page() if known[0] != tag), (tag, SHORT, count, 1000)]
        path = write(tmp_path / "a.tif", tags)
        if is_sound:
            assert pages_of(path) == 1
        else:
            with pytest.raises(ValueError, match=f"65 values of tag {tag}"):
                pages_of(path)


def test_an_unknown_tag_of_any_kind_is_passed_over(tmp_path: Path) -> None:
    assert pages_of(write(tmp_path / "a.tif", [*page(), (65_000, 99, 2**31, 5)])) == 1


def test_pages_and_tags_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "_MOST_PAGES", 3)
    assert pages_of(write(tmp_path / "a.tif", page(), page(), page())) == 3
    with pytest.raises(ValueError, match="a damaged chain of pages"):
        pages_of(write(tmp_path / "a.tif", page(), page(), page(), page()))
    monkeypatch.setattr(tiff, "_MOST_TAGS", 9)
    assert pages_of(write(tmp_path / "a.tif", page())) == 1
    with pytest.raises(ValueError, match="a page of 10 tags"):
        pages_of(write(tmp_path / "a.tif", page(more=(65_000, SHORT, 1, 1))))
    with pytest.raises(ValueError, match="a page of 0 tags"):
        pages_of(write(tmp_path / "a.tif", []))


def test_a_list_is_as_long_as_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "_MOST_SEGMENTS", 23)
    rows = {"rows": (278, LONG, 1, 1), "offsets": (273, LONG, 23, 1920)}
    lists = struct.pack("<46I", *range(1000, 1920, 40), *[40] * 23)
    tags = page(**rows, counts=(279, LONG, 23, 1920 + 92))
    assert (read_picture(write(tmp_path / "a.tif", tags, extra=lists)) == GREY).all()
    monkeypatch.setattr(tiff, "_MOST_SEGMENTS", 22)
    with pytest.raises(InputError, match="a damaged tag"):
        read_picture(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="a damaged tag 273"):
        pages_of(write(tmp_path / "b.tif", page(offsets=(273, LONG, 0, 1000))))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"rows": (278, LONG, 1, 5)}, "1 of 5", id="strips"),
        pytest.param({"rows": (278, LONG, 1, 22)}, "1 of 2", id="a strip of one row"),
        pytest.param(
            {"planar": (284, SHORT, 1, 2), "samples": (277, SHORT, 1, 3)}, "1 of 3", id="planes"
        ),
        pytest.param(
            {"a": (322, LONG, 1, 16), "b": (323, LONG, 1, 16)}, "1 of 6", id="tiles"
        ),
        pytest.param(
            {"a": (322, LONG, 1, 16), "b": (323, LONG, 1, 16), "planar": (284, SHORT, 1, 2),
             "samples": (277, SHORT, 1, 2)}, "1 of 12", id="tiles of planes",
        ),
    ],
)  # fmt: skip
def test_every_strip_or_tile_must_have_its_place(
    tmp_path: Path, changes: dict[str, Tag], expected: str
) -> None:
    with pytest.raises(ValueError, match=f"truncated: {expected} strips or tiles"):
        pages_of(write(tmp_path / "a.tif", page(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"rows": (278, LONG, 1, 2**32 - 1)}, id="one strip of any height"),
        pytest.param({"rows": None}, id="no height of strips"),
        pytest.param({"samples": (277, SHORT, 1, 3)}, id="samples side by side"),
        pytest.param({"a": (322, LONG, 1, 64), "b": (323, LONG, 1, 32)}, id="one larger tile"),
        pytest.param({"a": (322, LONG, 1, 16)}, id="half a tile"),
        pytest.param({"counts": None}, id="no lengths"),
        pytest.param({"rows": (278, LONG, 1, 0)}, id="strips of no rows count as one of one"),
    ],
)
def test_what_has_all_its_places_is_let_through(
    tmp_path: Path, changes: dict[str, Tag | None]
) -> None:
    path = write(tmp_path / "a.tif", page(**changes))
    if changes.get("rows") == (278, LONG, 1, 0):
        with pytest.raises(ValueError, match="1 of 23"):
            pages_of(path)
    else:
        assert pages_of(path) == 1


@pytest.mark.parametrize("sides", [(0, 16), (16, 0)])
def test_tiles_without_pixels_are_refused(tmp_path: Path, sides: tuple[int, int]) -> None:
    tags = page(a=(322, LONG, 1, sides[0]), b=(323, LONG, 1, sides[1]))
    with pytest.raises(ValueError, match="tiles larger than the picture"):
        pages_of(write(tmp_path / "a.tif", tags))


def test_a_tile_may_have_four_times_the_picture_or_a_fixed_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "_SMALL_SEGMENT", 0)
    for width, is_sound in ((160, True), (161, False)):
        tags = page(a=(322, LONG, 1, width), b=(323, LONG, 1, 23))
        path = write(tmp_path / "a.tif", tags)
        if is_sound:
            assert pages_of(path) == 1
        else:
            with pytest.raises(ValueError, match="tiles larger"):
                pages_of(path)
    monkeypatch.setattr(tiff, "_SMALL_SEGMENT", 161 * 23)
    assert pages_of(path) == 1


@pytest.mark.parametrize("beyond", [0, 1])
def test_no_strip_lies_outside_the_file(tmp_path: Path, beyond: int) -> None:
    size = 1920 + 16
    lists = struct.pack("<4I", 1000, 1520, 520, size - 1520 + beyond)
    two = {"rows": (278, LONG, 1, 13), "offsets": (273, LONG, 2, 1920)}
    path = write(tmp_path / "a.tif", page(**two, counts=(279, LONG, 2, 1928)), extra=lists)
    assert path.stat().st_size == size
    if beyond:
        with pytest.raises(ValueError, match="truncated: pixels outside the file"):
            pages_of(path)
    else:
        assert pages_of(path) == 1


def test_pixels_may_end_with_the_file_and_be_named_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", page())
    assert path.stat().st_size == 1920
    assert pages_of(path) == 1
    lists = struct.pack("<8I", *[1000] * 4, *[976] * 4)  # together twice the file
    tags = page(offsets=(273, LONG, 4, 1920), rows=(278, LONG, 1, 6), counts=(279, LONG, 4, 1936))
    path = write(tmp_path / "a.tif", tags, extra=lists)
    content = bytearray(path.read_bytes())
    size = len(content)
    counts = [2 * size // 4] * 4
    content[1920:1952] = struct.pack("<8I", *[0, 0, 0, 0], *counts)
    path.write_bytes(content)
    assert pages_of(path) == 1
    content[1936:1940] = struct.pack("<I", counts[0] + 1)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="stored once and named many times"):
        pages_of(path)


@pytest.mark.parametrize(("digits", "planes"), [(6, 1), (7, 1)])
def test_an_ome_tiff_of_another_number_of_planes_is_read_by_its_pages(
    tmp_path: Path, digits: int, planes: int
) -> None:
    number = "1".rjust(digits, "0")
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="40" '
        f'SizeY="23" SizeC="1" SizeZ="1" SizeT="{number}"><TiffData IFD="0" PlaneCount="1"/>'
        "</Pixels></Image></OME>"
    )
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, GREY, description=xml, metadata=None)
    with tiff.open_tiff(path) as opened:
        assert bool(opened.file.is_ome) is (digits == 6)
        assert len(opened.series.pages) == planes
    assert (read_picture(path) == GREY).all()


def test_only_8_and_16_bit_numbers_whose_0_is_white_are_turned(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "white.tif", GREY, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "black.tif", GREY, photometric="minisblack")
    assert read_header(tmp_path / "white.tif").black == 255
    assert read_header(tmp_path / "black.tif").black == 0
    tifffile.imwrite(tmp_path / "deep.tif", GREY.astype(np.uint16), photometric="miniswhite")
    assert read_header(tmp_path / "deep.tif").black == 65535


def test_a_page_that_names_no_compression_has_none(tmp_path: Path) -> None:
    assert pages_of(write(tmp_path / "a.tif", page(compression=None))) == 1


def test_a_file_may_be_read_so_often_and_no_more(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", page())
    with path.open("rb") as raw:
        handle = tiff._CountingHandle(raw, 2)
        assert (handle.read(2), handle.read(1)) == (b"II", b"*")
        with pytest.raises(tiff._GaveUp, match="more places to read"):
            handle.read(1)
