"""Runs of the extraction: workers, kills, bad images, a full disk, older stores."""

import functools
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_stores import SMALL, cut_by_hand, extract

from hpa_mmdet.cli.extract_crops import main
from hpa_mmdet.crops import CropStore, chunks
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS


def files_of(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir() if path.is_file()}


@pytest.fixture
def one_image_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk_images = functools.partial(chunks.chunk_images, size=1)
    monkeypatch.setattr("hpa_mmdet.crops.extract.chunk_images", chunk_images)


@pytest.mark.usefixtures("one_image_a_chunk")
def test_workers_shards_and_ray_give_the_same_bytes(data: Path) -> None:
    expected = files_of(extract(data).path)
    assert {"pixels-000000.npy", "pixels-000001.npy", "store.json"} <= expected.keys()
    assert "pixels-000002.npy" not in expected  # image c has no cell
    assert files_of(extract(data, "--workers", "2", out="workers").path) == expected
    assert files_of(extract(data, "--engine", "ray", out="ray").path) == expected
    words = [str(data / "train.json"), "--out", str(data / "shards"), *SMALL]
    for number in (2, 1):
        assert main([*words, "--shard", f"{number}/2"]) == 0
        with pytest.raises(InputError, match="holds no finished store"):
            CropStore(data / "shards")
    times = {path: path.stat().st_mtime_ns for path in (data / "shards").glob("*.npy")}
    assert files_of(extract(data, out="shards").path) == expected
    kept = {path: path.stat().st_mtime_ns for path in (data / "shards").glob("*.npy")}
    assert kept.items() <= times.items()


@pytest.mark.usefixtures("one_image_a_chunk")
def test_a_changed_image_is_cut_again_and_no_other(data: Path) -> None:
    extract(data)
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    assert main(words) == 2
    times = [path.stat().st_mtime_ns for path in sorted((data / "store").glob("*.npy"))]
    Image.fromarray(np.full((70, 110), 9, np.uint8)).save(data / "images" / "b_green.png")
    store = extract(data, "--overwrite")
    later = [path.stat().st_mtime_ns for path in sorted((data / "store").glob("*.npy"))]
    assert later[0] == times[0]
    assert later[1] > times[1]
    assert set(np.unique(store.bag(1)[..., 0])) <= set(range(10))


def test_an_older_store_is_replaced_whole_and_other_files_never(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(data)
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    assert main(words) == 2
    assert "store.json: is there from an earlier run; give --overwrite" in capsys.readouterr().err
    store = extract(data, "--overwrite", "--size", "24")
    assert store.crop_shape == (24, 24, 3)
    assert files_of(store.path) == files_of(extract(data, "--size", "24", out="fresh").path)
    (data / "other").mkdir()
    (data / "other" / "cells.parquet").write_text("mine")
    assert main([*words[:2], str(data / "other"), *SMALL]) == 2
    assert "cells.parquet: was not written by extract_crops" in capsys.readouterr().err
    assert (data / "other" / "cells.parquet").read_text() == "mine"


@pytest.mark.usefixtures("one_image_a_chunk")
def test_a_bad_image_is_listed_and_left_out(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "images" / "a_green.png"
    path.write_bytes(path.read_bytes()[:90])
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    assert main(words) == 1
    assert "failed a: " in capsys.readouterr().out
    store = CropStore(data / "store")
    assert store.images.hpa_ids == ["b", "c"]
    np.testing.assert_array_equal(store.bag(0), cut_by_hand(data, "b", store.options))
    report = json.loads((data / "store" / "report.json").read_text())
    assert [failed["id"] for failed in report["failed"]] == ["a"]


def test_images_of_another_size_than_their_masks_fail(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for channel in CHANNELS:
        save = Image.fromarray(np.zeros((70, 111), np.uint8)).save
        save(data / "images" / f"a_{channel}.png")
    assert main([str(data / "train.json"), "--out", str(data / "store"), *SMALL]) == 1
    said = capsys.readouterr().out
    assert "image a: found channels of 111x70 pixels, expected 110x70 as in the COCO" in said
    words = [str(data / "images"), "--masks", str(data / "masks"), "--out", str(data / "two")]
    assert main([*words, *SMALL]) == 1
    assert re.search(r"image a: found channels of 111x70 .*a_mask\.png", capsys.readouterr().out)


def test_a_source_that_cannot_be_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(data / "store"), *SMALL]
    for words, message in (
        ([str(data / "images")], "images: a folder of images needs --masks DIR"),
        ([str(data / "train.json"), "--masks", str(data / "masks")], "a COCO JSON holds its masks"),
        ([str(data / "train.json"), "--labels", str(data / "labels.csv")], "holds its labels"),
        ([str(data / "train.json"), "--min-side", "0"], "--min-side: found 0, expected 1 or more"),
        ([str(data / "train.json"), "--min-side", "9", "--max-side", "8"], "--max-side: found 8"),
        ([str(data / "train.json"), "--framing", "fixed"], "--um-per-px: belongs with"),
    ):
        assert main([*words, *out]) == 2
        assert message in capsys.readouterr().err
    assert not (data / "store").exists()


def test_cells_larger_than_a_fixed_window_are_said_or_left_out(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = ["--framing", "fixed", "--um-per-px", "0.1", "--pixel-size", "0.063"]  # 25 pixels
    store = extract(data, *fixed)
    assert store.cells.clipped.tolist() == [False, True, True] * 2
    said = capsys.readouterr().out
    assert "4 cells are larger than their crop, which shows the middle" in said
    fewer = extract(data, *fixed, "--drop-clipped", out="fewer")
    assert fewer.cells.cell_ids.tolist() == [2, 2]
    assert "4 cells left out: larger than the crop's window" in capsys.readouterr().out


def test_masks_and_ids_without_the_other_are_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for channel in CHANNELS:
        (data / "images" / f"b_{channel}.png").unlink()
    (data / "masks" / "c_mask.png").unlink()
    (data / "labels.csv").write_text("ID,Label\nc,16\n")
    words = ["--masks", str(data / "masks"), "--labels", str(data / "labels.csv")]
    assert main([str(data / "images"), *words, "--out", str(data / "store"), *SMALL]) == 2
    said = capsys.readouterr().out
    assert "1 label images have no images and are left out" in said
    assert "image a: has no row in" in said
    assert "image c: has no mask in" in said


SLOW = """
import functools, sys, time
from hpa_mmdet.cli.extract_crops import main
from hpa_mmdet.crops import chunks, extract
extract.chunk_images = functools.partial(chunks.chunk_images, size=1)
quick = chunks.cut_prepared
def slow(*values):
    time.sleep(0.1)
    return quick(*values)
chunks.cut_prepared = slow
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("one_image_a_chunk")
def test_a_killed_extraction_goes_on_to_the_same_bytes(data: Path) -> None:
    expected = files_of(extract(data, out="whole").path)
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *words])
    while process.poll() is None and not list((data / "store").glob("pixels-*.npy")):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    earlier = {p.name: p.stat().st_mtime_ns for p in (data / "store").glob("pixels-*.npy")}
    assert 0 < len(earlier) < 3
    assert files_of(extract(data).path) == expected
    assert (data / "store" / "pixels-000000.npy").stat().st_mtime_ns == earlier["pixels-000000.npy"]


FULL = """
import resource, sys
from hpa_mmdet.cli.extract_crops import main
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_ends_the_run_and_the_next_one_finishes_it(data: Path) -> None:
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    told = subprocess.run(
        [sys.executable, "-c", FULL, *words], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert re.search(r"pixels-000000\.npy: .*(full|room)", told.stderr)
    assert "Traceback" not in told.stderr
    assert not list((data / "store").glob("pixels*"))
    assert files_of(extract(data).path) == files_of(extract(data, out="whole").path)
