"""Filling the image cache: killed writers, full disks, the hook, the tool."""

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
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cached_images import SHAPE_HW, dataset, entry_of, put, write_image
from mmengine.logging import MMLogger

from hpa_mmdet.cli.cache_images import main as cache_images
from hpa_mmdet.datasets import FillImageCache, HpaCellDataset, LoadHpaChannels
from hpa_mmdet.datasets import fill_cache as filling
from hpa_mmdet.datasets.fill_cache import CacheSource, fill_cache, sources_of
from hpa_mmdet.datasets.image_cache import CacheWriteError, ImageCache
from hpa_mmdet.datasets.working_image import WorkingImage, decode_working_image
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.jobs import Report

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
