"""The image cache: the same pixels, never half of them, never stale ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from cached_images import SHAPE_HW, dataset, entry_of, put, write_image

from hpa_mmdet.datasets import LoadHpaChannels
from hpa_mmdet.datasets import image_cache as caching
from hpa_mmdet.datasets.image_cache import ImageCache
from hpa_mmdet.datasets.working_image import decode_working_image
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles

pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3, 2.0])
@pytest.mark.parametrize("channels", [CHANNELS, ("green",)], ids=["four", "one"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cached_pixels_are_those_without_the_cache(
    tmp_path: Path, dtype: type, channels: tuple[str, ...], scale: float
) -> None:
    files = write_image(tmp_path, "a", dtype)
    plain = LoadHpaChannels(channels, scale=scale)(entry_of(files))
    cached = LoadHpaChannels(channels, scale=scale, cache=tmp_path / "cache")
    for _ in range(2):  # stored, then read
        found = cached(entry_of(files))
        assert found["img"].dtype == np.uint8
        np.testing.assert_array_equal(found["img"], plain["img"])
        assert found["img_shape"] == plain["img_shape"]
        assert found["source_shape"] == SHAPE_HW
    assert cached.cache is not None
    assert cached.cache.size().images == 1
    stored = next((tmp_path / "cache").glob("??/*/*.npy"))
    np.testing.assert_array_equal(np.load(stored), plain["img"])  # a file that numpy reads


def test_a_second_reading_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_image(tmp_path, "a")
    transform = LoadHpaChannels(cache=tmp_path / "cache")
    first = transform(entry_of(files))["img"]
    monkeypatch.setattr("hpa_mmdet.datasets.loading.decode_working_image", None)
    np.testing.assert_array_equal(transform(entry_of(files))["img"], first)


def test_pixels_can_be_changed_without_changing_the_cache(tmp_path: Path) -> None:
    files = write_image(tmp_path, "a")
    transform = LoadHpaChannels(cache=tmp_path / "cache")
    first = transform(entry_of(files))["img"].copy()
    mapped = transform(entry_of(files))["img"]
    assert type(mapped) is np.ndarray
    mapped[:] = 0
    np.testing.assert_array_equal(transform(entry_of(files))["img"], first)


@pytest.mark.parametrize("change", ["pixels", "time", "code"])
def test_what_has_changed_is_decoded_again_in_place_of_the_old(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_image(tmp_path, "a")
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    put(cache, files)
    if change == "pixels":
        tifffile.imwrite(files.paths["blue"], np.zeros((SHAPE_HW[0] + 1, SHAPE_HW[1]), np.uint8))
    elif change == "time":
        os.utime(files.paths["yellow"], ns=(0, 12345))
    else:
        monkeypatch.setattr(caching, "code_digest", lambda *_: "of another version")
    assert cache.read(files) is None
    write_image(tmp_path, "a", seed=1)
    put(cache, files)
    found = cache.read(files)
    assert found is not None
    np.testing.assert_array_equal(found.pixels, decode_working_image(files, CHANNELS).pixels)
    assert cache.size().images == 1


def test_other_options_are_other_images(tmp_path: Path) -> None:
    files = write_image(tmp_path, "a")
    put(ImageCache(tmp_path / "cache", CHANNELS), files)
    for channels, scale in [(CHANNELS, 0.5), (CHANNELS[::-1], 1.0), (("green",), 1.0)]:
        other = ImageCache(tmp_path / "cache", channels, scale)
        assert other.read(files) is None
        put(other, files)
    assert ImageCache(tmp_path / "cache", CHANNELS).size().images == 4


def test_finding_an_image_looks_at_no_other(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    images = [write_image(tmp_path, name) for name in "abcd"]
    for files in images:
        put(cache, files)
    listed: list[int] = []
    iterdir = Path.iterdir

    def counting(folder: Path) -> Iterator[Path]:
        paths = list(iterdir(folder))
        listed.append(len(paths))
        return iter(paths)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "iterdir", counting)
        patch.setattr(Path, "glob", None)
        assert cache.read(images[0]) is not None
    assert listed == [1]


@pytest.mark.parametrize("left", [0, 20, 130, -1])
def test_a_file_that_is_not_whole_is_not_read(tmp_path: Path, left: int) -> None:
    files = write_image(tmp_path, "a")
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    put(cache, files)
    path = next(cache.folder.glob("??/*/*.npy"))
    path.write_bytes(path.read_bytes()[:left])
    assert cache.read(files) is None


def test_a_missing_source_is_said_as_without_the_cache(tmp_path: Path) -> None:
    files = write_image(tmp_path, "a")
    transform = LoadHpaChannels(cache=tmp_path / "cache")
    transform(entry_of(files))
    files.paths["red"].unlink()
    with pytest.raises(InputError, match=r"a_red.tif: found no file"):
        transform(entry_of(files))
    lacking = ImageFiles("a", {"green": files.paths["green"]})
    with pytest.raises(InputError, match=r"image a: found no red file"):
        transform(entry_of(lacking))


def test_a_size_other_than_annotated_is_an_error_from_the_cache_too(tmp_path: Path) -> None:
    files = write_image(tmp_path, "a")
    transform = LoadHpaChannels(cache=tmp_path / "cache", scale=0.5)
    transform(entry_of(files))
    with pytest.raises(InputError, match="found 44x30 pixels, expected 45x30 as its annot"):
        transform({**entry_of(files), "height": 30, "width": 45})


def test_a_scale_must_be_above_0() -> None:
    with pytest.raises(InputError, match="scale: found 0, expected above 0"):
        LoadHpaChannels(scale=0)


def test_cells_are_scaled_with_their_image(discs: Path) -> None:
    whole, half = dataset(discs), dataset(discs, scale=0.5)
    for place in range(3):
        big, small = whole[place], half[place]
        assert small["inputs"].shape == (4, 48, 64)
        assert small["data_samples"].ori_shape == (48, 64)
        masks = dict(
            zip(
                big["data_samples"].gt_instances.cell_ids.tolist(),
                big["data_samples"].gt_instances.masks.masks,
                strict=True,
            )
        )
        found = small["data_samples"].gt_instances
        assert len(found) > 0
        for cell_id, mask in zip(found.cell_ids.tolist(), found.masks.masks, strict=True):
            np.testing.assert_array_equal(
                mask, cv2.resize(masks[cell_id], (64, 48), interpolation=cv2.INTER_NEAREST)
            )
