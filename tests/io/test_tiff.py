"""Damaged and hostile TIFFs are refused before anything follows what they say."""

import contextlib
import gc
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from tiff_files import ASCII, GREY, LONG, SHORT, Tag, page, write

from hpa_mmdet.errors import InputError
from hpa_mmdet.io import tiff
from hpa_mmdet.io.channels import ImageFiles, check_channels, find_images, read_channels
from hpa_mmdet.io.pictures import read_header, read_picture


def test_the_file_of_these_tests_is_a_sound_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", page())
    assert (read_picture(path) == GREY).all()
    assert read_header(path).shape == (23, 40)


@pytest.mark.parametrize(
    ("pages", "last", "message"),
    [
        pytest.param([page()], 8, "a damaged chain of pages", id="circle of one"),
        pytest.param([page(), page()], 8, "a damaged chain of pages", id="circle of two"),
        pytest.param([page()], 1500, "a page of", id="chain into the pixels"),
        pytest.param([page()], 5000, "truncated, or a place outside", id="chain out of the file"),
        pytest.param([page(width=None)], 0, "without width and length", id="no width"),
        pytest.param([page(length=(257, LONG, 1, 0))], 0, "without width", id="no rows"),
        pytest.param([page(width=(256, ASCII, 1, 40))], 0, "a damaged tag 256", id="width is text"),
        pytest.param([page(width=(256, LONG, 2, 8))], 0, "2 values of tag 256", id="two widths"),
        pytest.param([page(bits=(258, SHORT, 99, 8))], 0, "99 values of tag 258", id="depths"),
        pytest.param([page(offsets=None)], 0, "without places of its pixels", id="no places"),
        pytest.param(
            [page(offsets=(273, LONG, 2, 8))], 0, "without places of its", id="one count too few"
        ),
        pytest.param(
            [page(offsets=(273, LONG, 1, 1001))], 0, "pixels outside the file", id="cut pixels"
        ),
        pytest.param(
            [page(counts=(279, LONG, 2**31, 8))], 0, "a damaged tag 279", id="too many strips"
        ),
        pytest.param(
            [page(compression=(259, SHORT, 1, 34933))], 0, "compression 34933; save", id="PNG in it"
        ),
        pytest.param(
            [page(photometric=(262, SHORT, 1, 5))], 0, "colours of kind 5; save it", id="CMYK"
        ),
        pytest.param(
            [page(a=(322, LONG, 1, 2**16), b=(323, LONG, 1, 2**16))], 0, "tiles larger", id="tiles"
        ),
    ],
)
def test_what_is_unsound_is_refused(
    tmp_path: Path, pages: list[list[Tag]], last: int, message: str
) -> None:
    path = write(tmp_path / "a.tif", *pages, last=last)
    for read in (read_header, read_picture):
        with pytest.raises(InputError, match=rf"a.tif: found an unreadable picture \(.*{message}"):
            read(path)


def test_pixels_that_are_named_many_times_are_refused(tmp_path: Path) -> None:
    strips = 23
    lists = struct.pack(f"<{2 * strips}I", *[1000] * strips, *[920] * strips)
    tags = page(
        offsets=(273, LONG, strips, 1920),
        rows=(278, LONG, 1, 1),
        counts=(279, LONG, strips, 1920 + 4 * strips),
    )
    path = write(tmp_path / "a.tif", tags, extra=lists)
    with pytest.raises(InputError, match="stored once and named many times"):
        read_picture(path)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_kind_of_header_is_walked(tmp_path: Path, bigtiff: bool, byteorder: str) -> None:
    path = tmp_path / "a.tif"
    stack = np.stack([GREY, GREY // 2, GREY // 3])
    tifffile.imwrite(
        path, stack, bigtiff=bigtiff, byteorder=byteorder, photometric="minisblack", rowsperstrip=5
    )
    assert (read_picture(path) == stack).all()
    with path.open("rb") as handle:
        assert tiff.check_structure(handle, path.stat().st_size) == 3
    content = bytearray(path.read_bytes())
    content[4] ^= 0x40  # the first page's place, or the size of places
    path.write_bytes(content)
    with pytest.raises(InputError, match="found an unreadable picture"):
        read_header(path)


def test_a_picture_that_takes_too_long_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    monkeypatch.setattr(tiff, "MOST_SECONDS", -1.0)
    with pytest.raises(InputError, match="it took more than -1 seconds"):
        read_picture(tmp_path / "a.tif")


def test_reading_more_than_the_pages_need_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY)
    monkeypatch.setattr(tiff, "_READS_PER_PAGE", 0)
    with pytest.raises(InputError, match="more places to read than its pages need"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param('SizeC="1" SizeZ="1" SizeT="999999999"', id="a thousand million times"),
        pytest.param('SizeC="4" SizeZ="1" SizeT="1"', id="planes of other files"),
    ],
)
def test_ome_metadata_that_announce_too_much_are_left_aside(tmp_path: Path, numbers: str) -> None:
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" '
        f'SizeX="40" SizeY="23" {numbers}><TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, GREY, description=xml, metadata=None)
    assert (read_picture(path) == GREY).all()


def ome_set(folder: Path) -> None:
    """Four files, one channel each, whose XML names all of them."""
    names = ("red", "green", "blue", "yellow")
    for at, name in enumerate(names):
        data = "".join(
            f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1">'
            f'<UUID FileName="a_{other}.ome.tif">urn:uuid:{c:08d}-0000-0000-0000-000000000000'
            "</UUID></TiffData>"
            for c, other in enumerate(names)
        )
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{at:08d}-0000-0000-0000-000000000000"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="40" SizeY="23" '
            f'SizeC="4" SizeZ="1" SizeT="1">{data}</Pixels></Image></OME>'
        )
        picture = np.full((23, 40), 10 * at + 1, np.uint8)
        tifffile.imwrite(folder / f"a_{name}.ome.tif", picture, description=xml, metadata=None)


def test_an_ome_set_of_one_file_a_channel_is_read_file_by_file(tmp_path: Path) -> None:
    ome_set(tmp_path)
    [image] = find_images(tmp_path, pattern="{id}_{channel}.ome.tif")
    assert check_channels(image, ["yellow", "red"]) == (40, 23)
    assert read_channels(image, ["yellow", "red"])[5, 7].tolist() == [31, 1]


@pytest.mark.parametrize("read", [read_channels, check_channels])
def test_a_plane_that_is_in_another_file_of_the_set_is_no_black_one(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    ome_set(tmp_path)
    [image, *_] = find_images(tmp_path, ["red", "_", "blue"], "{id}.ome.tif")
    with pytest.raises(
        InputError, match=r"a_blue.ome.tif: found 1 planes, expected the 3 that --channels names"
    ):
        read(image, ["red", "blue"])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_intensities_whose_0_is_white_are_turned_round(tmp_path: Path, dtype: type) -> None:
    black = np.iinfo(dtype).max
    picture = GREY.astype(dtype) * (black // 255)
    tifffile.imwrite(tmp_path / "a_red.tif", black - picture, photometric="miniswhite")
    image = ImageFiles("a", {"red": tmp_path / "a_red.tif"})
    assert (read_channels(image, ["red"])[..., 0] == picture).all()


def test_damaged_files_cost_no_reference_of_none(tmp_path: Path) -> None:
    for compression in ("lzw", "zlib", "packbits", "jpeg2000", "zstd", "lzma", "jpeg"):
        path = tmp_path / f"{compression}.tif"
        tifffile.imwrite(path, GREY, compression=compression)
        content = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as whole:
            begin, length = whole.pages[0].dataoffsets[0], whole.pages[0].databytecounts[0]
        content[begin : begin + length] = b"\xa7" * length
        path.write_bytes(content)
        gc.collect()
        before = sys.getrefcount(None)
        for _ in range(200):
            with contextlib.suppress(InputError):
                read_picture(path)
        gc.collect()
        assert sys.getrefcount(None) > before - 100, compression
