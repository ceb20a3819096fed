"""Parts of large TIFFs are what a whole decode has there."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hpa_mmdet.errors import InputError
from hpa_mmdet.io import large_images
from hpa_mmdet.io.channels import ImageFiles, read_channels
from hpa_mmdet.io.large_images import LargeImage, TiffParts, open_channels, segment_cache

SHAPE_HW = (150, 211)
NAMES = ("blue", "green", "red")


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_images, "LARGE_PIXELS", 100)
    monkeypatch.setattr(large_images, "KEPT_BYTES", 20_000)


def planes(dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, (3, *SHAPE_HW)).astype(dtype)


def one_file(path: Path) -> ImageFiles:
    return ImageFiles(
        "a", {name: path.with_name(f"{path.name}#{at}") for at, name in enumerate(NAMES)}
    )


LAYOUTS = {
    "tiles": {"tile": (64, 48), "compression": "zlib", "photometric": "minisblack"},
    "tiles of OME": {"tile": (32, 32), "compression": "lzw", "ome": True},
    "strips": {
        "rowsperstrip": 7, "compression": "zlib", "predictor": True, "photometric": "minisblack",
    },
    "one page each, plain": {"photometric": "minisblack"},
    "ImageJ": {"imagej": True, "metadata": {"axes": "CYX"}},
    "big endian": {"byteorder": ">", "photometric": "minisblack"},
    "bands apart": {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"},
    "bands apart in tiles": {
        "photometric": "rgb", "planarconfig": "separate", "tile": (32, 64), "compression": "zlib",
    },
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_part_is_that_of_the_whole(tmp_path: Path, layout: str, dtype: type) -> None:
    path = tmp_path / ("a.ome.tif" if "OME" in layout else "a.tif")
    tifffile.imwrite(path, planes(dtype), **LAYOUTS[layout])
    whole = read_channels(one_file(path), NAMES)
    image = open_channels(one_file(path), NAMES)
    assert isinstance(image, LargeImage)
    assert (image.shape, image.dtype) == (whole.shape, whole.dtype)
    for top, bottom, left, right in [(0, 150, 0, 211), (31, 33, 60, 130), (149, 150, 210, 211)]:
        part = image[top:bottom, left:right]
        assert part.dtype == whole.dtype
        assert np.array_equal(part, whole[top:bottom, left:right])
    assert np.array_equal(image[140:400, 200:400], whole[140:, 200:])  # as arrays are cut
    image.close()


def test_channels_in_files_of_their_own_and_colours(tmp_path: Path) -> None:
    colour = np.random.default_rng(1).integers(0, 250, (*SHAPE_HW, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a_red.tif", planes()[0], tile=(32, 32), compression="zlib")
    tifffile.imwrite(
        tmp_path / "a_green.tif", colour, photometric="rgb", rowsperstrip=9, compression="zlib"
    )
    files = ImageFiles("a", {name: tmp_path / f"a_{name}.tif" for name in ("red", "green")})
    image = open_channels(files, ("green", "red"))
    assert isinstance(image, LargeImage)
    assert np.array_equal(image[20:90, 5:200], read_channels(files, ("green", "red"))[20:90, 5:200])
    image.close()


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", planes(), photometric="minisblack")
    image = open_channels(one_file(tmp_path / "a.tif"), NAMES)
    before = image[:40, :50]
    sent = pickle.loads(pickle.dumps(image))
    assert np.array_equal(sent[:40, :50], before)
    image.close()
    sent.close()


def test_bands_together_are_the_image_and_blocks_are_averaged(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", planes(), tile=(32, 32), compression="zlib", photometric="minisblack"
    )
    image = open_channels(one_file(tmp_path / "a.tif"), NAMES)
    whole = np.moveaxis(planes(), 0, 2)
    assert np.array_equal(np.concatenate(list(image.bands(37))), whole)
    small, scale = image.shrunk(60)
    assert (small.shape, scale) == ((37, 52, 3), 1 / 4)
    blocks = whole[:148, :208].reshape(37, 4, 52, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - blocks).max() <= 0.51
    image.close()


def test_small_images_and_other_files_are_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", planes(), photometric="minisblack")
    monkeypatch.setattr(large_images, "LARGE_PIXELS", 10**6)
    assert isinstance(open_channels(one_file(tmp_path / "a.tif"), NAMES), np.ndarray)


def test_what_cannot_be_read_is_said_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes(np.float32), photometric="minisblack")
    with pytest.raises(InputError, match=r"a.tif: found float32 pixels, expected 8 or 16 bit"):
        open_channels(one_file(path), NAMES)
    tifffile.imwrite(path, planes(), photometric="minisblack", compression="zlib", tile=(64, 64))
    image = open_channels(one_file(path), NAMES)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    with path.open("r+b") as damaged:
        damaged.seek(offset)
        damaged.write(b"\xff" * 40)
    with pytest.raises(InputError, match=r"a.tif: found an unreadable picture"):
        image[:10, :10]
    image.close()
    with pytest.raises(InputError, match="found no yellow file"):
        open_channels(one_file(path), ("yellow",))
    monkeypatch.setattr("hpa_mmdet.io.large_images.MAX_PIXELS", 10)
    with pytest.raises(InputError, match="a single strip that is too large"):
        open_channels(one_file(path), NAMES)


def test_decoded_segments_are_kept_within_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes()[0], tile=(64, 64), compression="zlib")
    cache = segment_cache(2 * 64 * 64)
    parts = TiffParts(path, cache)
    parts.read(None, slice(0, 64), slice(0, 64))
    parts.read(None, slice(64, 128), slice(0, 192))
    assert [key[2] for key in cache] == [5, 6]  # the two tiles that were used last
    parts.close()
    small = segment_cache(10)
    parts = TiffParts(path, small)
    assert np.array_equal(parts.read(None, slice(0, 9), slice(0, 9)), planes()[0, :9, :9])
    assert not small
    parts.close()
