"""The image cache: the same pixels, never half of them, never stale ones."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile
from discs import write_discs
from mmengine.logging import MMLogger

from hpa_mmdet.cli.cache_images import main as cache_images
from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.datasets import FillImageCache, HpaCellDataset, LoadHpaChannels
from hpa_mmdet.datasets import fill_cache as filling
from hpa_mmdet.datasets import image_cache as caching
from hpa_mmdet.datasets.fill_cache import CacheSource, fill_cache, sources_of
from hpa_mmdet.datasets.image_cache import CacheWriteError, ImageCache
from hpa_mmdet.datasets.working_image import WorkingImage, decode_working_image
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles
from hpa_mmdet.jobs import Report

SHAPE_HW = (30, 44)
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def write_image(folder: Path, image_id: str, dtype: type = np.uint8, seed: int = 0) -> ImageFiles:
    rng = np.random.default_rng(seed)
    paths = {channel: folder / f"{image_id}_{channel}.tif" for channel in CHANNELS}
    for path in paths.values():
        tifffile.imwrite(path, rng.integers(0, np.iinfo(dtype).max, SHAPE_HW, dtype, endpoint=True))
    return ImageFiles(image_id, paths)


def entry_of(files: ImageFiles) -> dict[str, object]:
    paths = {channel: str(path) for channel, path in files.paths.items()}
    return {"hpa_id": files.image_id, "channel_paths": paths}


def put(cache: ImageCache, files: ImageFiles) -> None:
    cache.store(files, decode_working_image(files, cache.channels, cache.scale))


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    write_discs(tmp_path, ["a", "b", "c"], (96, 128))
    paths = [str(tmp_path / name) for name in ("images", "masks", "train.csv", "train.json")]
    assert convert([paths[0], "--masks", paths[1], "--labels", paths[2], "--out", paths[3]]) == 0
    return tmp_path


def dataset(folder: Path, **load: object) -> HpaCellDataset:
    steps = [{"type": "LoadHpaChannels", **load}, {"type": "LoadCells"}, {"type": "PackCells"}]
    return HpaCellDataset(ann_file=str(folder / "train.json"), pipeline=steps)


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


KILLED = """
import sys
from pathlib import Path
from hpa_mmdet.datasets.image_cache import ImageCache
from hpa_mmdet.datasets.working_image import decode_working_image
from hpa_mmdet.io.channels import CHANNELS, ImageFiles
folder, cache = Path(sys.argv[1]), ImageCache(Path(sys.argv[2]), CHANNELS)
names = sys.argv[3].split(",")
all_files = [ImageFiles(n, {c: folder / f"{n}_{c}.tif" for c in CHANNELS}) for n in names]
images = [(files, decode_working_image(files, CHANNELS)) for files in all_files]
print("ready", flush=True)
while True:
    for files, image in images:
        cache.store(files, image)
"""


def test_writers_killed_at_any_moment_leave_nothing_half_written(tmp_path: Path) -> None:
    names = [f"image{number}" for number in range(4)]
    images = {name: write_image(tmp_path, name, seed=at) for at, name in enumerate(names)}
    expected = {
        name: decode_working_image(files, CHANNELS).pixels for name, files in images.items()
    }
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), str(cache.folder), ",".join(names)],
            stdout=subprocess.PIPE,
        )
        for _ in range(2)  # at once, on the same images
    ]
    seen = 0
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        for _ in range(50):
            for name, files in images.items():
                found = cache.read(files)
                if found is not None:
                    seen += 1
                    np.testing.assert_array_equal(found.pixels, expected[name])
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()
    for name, files in images.items():
        found = cache.read(files)
        if found is not None:
            seen += 1
            np.testing.assert_array_equal(found.pixels, expected[name])
    assert seen > 0
    report = Report("test")
    fill_cache(cache, [CacheSource(files, SHAPE_HW) for files in images.values()], report)
    assert (report.done, report.failures, cache.size().images) == (4, [], 4)


def test_what_a_killed_writer_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    put(cache, write_image(tmp_path, "a"))
    folder = next(cache.folder.glob("??/*"))
    old, young = folder / f".{'1' * 16}.tmp.npy", folder / f".{'2' * 16}.tmp.npy"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7200))
    assert cache.remove_left() == 1
    assert young.exists()
    assert cache.size().images == 1


def test_filling_lists_what_cannot_be_read_and_resumes(tmp_path: Path) -> None:
    good, bad = write_image(tmp_path, "good"), write_image(tmp_path, "bad")
    bad.paths["blue"].write_bytes(b"nothing")
    sources = [CacheSource(good, SHAPE_HW), CacheSource(bad, SHAPE_HW)]
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    report = Report("test")
    fill_cache(cache, sources, report, workers=2)
    assert (report.done, [failure.item_id for failure in report.failures]) == (1, ["bad"])
    assert "bad_blue.tif: found an unknown kind of file" in report.failures[0].message
    before = next(cache.folder.glob("??/*/*.npy")).stat().st_mtime_ns
    write_image(tmp_path, "bad", seed=3)
    again = Report("test")
    fill_cache(cache, sources, again)
    assert (again.done, again.failures, cache.size().images) == (2, [], 2)
    assert before in [path.stat().st_mtime_ns for path in cache.folder.glob("??/*/*.npy")]


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_said_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_image(tmp_path, "a")
    transform = LoadHpaChannels(cache=tmp_path / "cache")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.warns(UserWarning, match=r"cache: found a full disk, expected room.*Going on"):
        first = transform(entry_of(files))["img"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(transform(entry_of(files))["img"], first)
    assert transform.cache is not None
    assert transform.cache.size().images == 0
    report = Report("test")
    with pytest.raises(
        CacheWriteError, match="found a full disk, expected room for the output; free"
    ):
        fill_cache(transform.cache, [CacheSource(files, SHAPE_HW)], report)


def test_a_write_that_the_system_cuts_off_leaves_no_file(tmp_path: Path) -> None:
    files = write_image(tmp_path, "a")
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file longer than this
    try:
        with pytest.raises(CacheWriteError, match="found a full disk"):
            put(cache, files)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []
    assert cache.read(files) is None


def test_a_cache_in_a_place_that_is_a_file_is_said(tmp_path: Path) -> None:
    files = write_image(tmp_path, "a")
    (tmp_path / "cache").write_text("a file")
    cache = ImageCache(tmp_path / "cache", CHANNELS)
    assert cache.read(files) is None
    with pytest.raises(
        CacheWriteError, match=r"image cache .*cache: cannot be written .*; free space, choose"
    ):
        cache.store(files, WorkingImage(np.zeros((*SHAPE_HW, 4), np.uint8), SHAPE_HW))


def test_too_little_room_is_said_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9))
    monkeypatch.setattr(filling, "decode_working_image", None)
    files = write_image(tmp_path, "a")
    cache = ImageCache(tmp_path / "cache", CHANNELS, 0.5)
    message = r"found 1.0 GB of free disk, expected 1.6 GB for the decoded images; free space"
    with pytest.raises(CacheWriteError, match=message):
        fill_cache(cache, [CacheSource(files, (40000, 40000))], Report("test"))
    assert not cache.folder.exists()


def runner_of(data: HpaCellDataset) -> SimpleNamespace:
    logger = MMLogger.get_instance("image-cache-test")
    loader = SimpleNamespace(dataset=data)
    return SimpleNamespace(
        logger=logger, train_dataloader=loader, val_dataloader=loader, val_loop=None
    )


def test_the_hook_fills_the_cache_and_logs_its_size(
    discs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = dataset(discs, cache=str(discs / "cache"))
    FillImageCache(workers=2).before_train(runner_of(data))
    size = ImageCache(discs / "cache", CHANNELS).size()
    assert size.images == 3
    assert size.size_bytes == 3 * (128 + 96 * 128 * 4)
    captured = capfd.readouterr()
    assert "cache: 3 images, 0.1 MB" in captured.out + captured.err
    assert data[1]["inputs"].shape == (4, 96, 128)


def test_the_hook_leaves_a_set_without_a_cache_alone(discs: Path) -> None:
    before = sorted(discs.rglob("*"))
    FillImageCache().before_train(runner_of(dataset(discs)))
    assert sorted(discs.rglob("*")) == before


def test_the_hook_lets_training_go_on_where_it_cannot_write(
    discs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "fsync", full_disk)
    data = dataset(discs, cache=str(discs / "cache"))
    FillImageCache().before_train(runner_of(data))
    captured = capfd.readouterr()
    assert "Training goes on without storing images" in captured.out + captured.err
    assert data[0]["inputs"].shape == (4, 96, 128)  # without a warning, which would be an error


def test_the_tool_fills_what_training_reads(
    discs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(discs / "train.json"), "--out", str(discs / "cache"), "--scale", "0.5"]
    assert cache_images([*arguments, "--workers", "2"]) == 0
    assert "3 done, 0 failed\nimage cache" in capsys.readouterr().out
    monkeypatch.setattr("hpa_mmdet.datasets.loading.decode_working_image", None)
    data = dataset(discs, scale=0.5, cache=str(discs / "cache"))
    assert data[2]["inputs"].shape == (4, 48, 64)
    assert [source.files.image_id for source in sources_of(data)] == ["a", "b", "c"]


def test_the_tool_says_what_is_wrong(discs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(discs / "train.json"), "--out", str(discs / "cache")]
    assert cache_images([*arguments, "--scale", "0"]) == 2
    assert "found --scale 0.0 --workers" in capsys.readouterr().err
    (discs / "images" / "b_red.png").write_bytes(b"nothing")
    assert cache_images(arguments) == 1
    assert "failed b: " in capsys.readouterr().out
