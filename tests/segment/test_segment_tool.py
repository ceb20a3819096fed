"""tools/segment.py: what it writes, what it skips, what it refuses."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.cli.segment import main
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.segment import Segmentation
from hpa_mmdet.segment import folder as folder_module
from hpa_mmdet.segment import given as given_module
from hpa_mmdet.segment.pictures import CELL_COLOUR, NUCLEUS_COLOUR, draw_outlines

SHAPE_HW = (90, 140)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two images of two cells each, one of which the border cuts."""
    folder = tmp_path / "images"
    folder.mkdir()
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    for name in ("a", "b"):
        planes = {channel: np.zeros(SHAPE_HW) for channel in ("red", "blue", "yellow")}
        for centre in ((45, 40), (45, 120)):
            away = np.hypot(y - centre[0], x - centre[1])
            planes["blue"][away < 10] = 150
            planes["red"][away < 24] = planes["yellow"][away < 24] = 90
        for channel, plane in planes.items():
            Image.fromarray(plane.astype(np.uint8)).save(folder / f"{name}_{channel}.png")
    return folder


def run(images: Path, out: Path, *options: str) -> int:
    return main([str(images), "--out", str(out), *options])


def test_masks_nuclei_pictures_and_report_are_written(images: Path, tmp_path: Path) -> None:
    out, nuclei, pictures = tmp_path / "m", tmp_path / "n", tmp_path / "p"
    options = ["--nuclei-out", str(nuclei), "--qc", str(pictures), "--format", "tif"]
    assert run(images, out, *options, "--pixel-um", "0.6") == 0
    cells = read_label_image(out / "b_mask.tif")
    assert (cells.shape, cells.dtype, cells.max()) == (SHAPE_HW, np.uint32, 2)
    inside = read_label_image(nuclei / "b_mask.tif")
    np.testing.assert_array_equal(inside[inside > 0], cells[inside > 0])
    assert {path.name for path in pictures.glob("*.*g")} == {"a.jpg", "b.jpg", "contact_sheet.jpg"}
    report = json.loads((out / "segment_report.json").read_text())
    assert (report["done"], report["failed"]) == (2, [])
    assert "4 cells in 2 images" in report["notes"]


def notes_of(out: Path) -> str:
    report = json.loads((out / "segment_report.json").read_text())
    assert report["failed"] == []
    assert report["done"] == 2
    return " | ".join(report["notes"])


def test_what_is_done_is_skipped_and_counted(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "m"
    assert run(images, out) == 0
    before = (out / "a_mask.png").stat().st_mtime_ns
    whole = (out / "b_mask.png").read_bytes()
    (out / "b_mask.png").unlink()  # as if killed before it
    assert run(images, out) == 0
    assert (out / "a_mask.png").stat().st_mtime_ns == before
    assert (out / "b_mask.png").read_bytes() == whole
    assert notes_of(out) == (
        "4 cells in 2 images | 1 images were done before (--overwrite makes them anew) | "
        "nuclei are taken to be about 20 pixels wide in all images, as in the run before"
    )
    assert run(images, out, "--overwrite") == 0
    assert (out / "a_mask.png").stat().st_mtime_ns > before
    assert notes_of(out) == (
        "4 cells in 2 images | nuclei are taken to be about 20 pixels wide in all images"
    )


@pytest.mark.parametrize("extra", [[], ["--qc", "p"], ["--nuclei-out", "n"], ["--overwrite"]])
def test_a_mask_corrected_by_hand_is_kept(images: Path, tmp_path: Path, extra: list[str]) -> None:
    out = tmp_path / "m"
    extra = [str(tmp_path / word) if len(word) == 1 else word for word in extra]
    assert run(images, out) == 0
    corrected = read_label_image(out / "a_mask.png")
    corrected[:20, :20] = 3
    Image.fromarray(corrected).save(out / "a_mask.png")
    assert run(images, out, *extra) == 0
    np.testing.assert_array_equal(read_label_image(out / "a_mask.png"), corrected)
    notes = notes_of(out)
    assert "1 files are not as segment wrote them and are kept: a_mask.png" in notes
    assert ("masks of yours have no nuclei of the same ids" in notes) == ("--nuclei-out" in extra)
    if "--qc" in extra:  # drawn of the corrected mask
        picture = np.asarray(Image.open(tmp_path / "p" / "a.jpg"))
        assert picture[19, 10].min() > 150
        assert {path.name for path in (tmp_path / "p").glob("?.jpg")} == {"a.jpg", "b.jpg"}
    if "--nuclei-out" in extra:
        assert [path.name for path in (tmp_path / "n").glob("*.png")] == ["b_mask.png"]


def test_pictures_and_nuclei_can_be_added(images: Path, tmp_path: Path) -> None:
    once, later = tmp_path / "once", tmp_path / "later"
    extra = {at: ["--qc", str(at / "p"), "--nuclei-out", str(at / "n")] for at in (once, later)}
    assert run(images, once / "m", *extra[once]) == 0
    assert run(images, later / "m") == 0
    before = (later / "m" / "a_mask.png").stat().st_mtime_ns
    assert run(images, later / "m", *extra[later]) == 0
    assert (later / "m" / "a_mask.png").stat().st_mtime_ns == before
    for name in ("n/a_mask.png", "p/b.jpg", "p/contact_sheet.jpg"):
        assert (later / name).read_bytes() == (once / name).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        ["--nucleus-diameter-px", "15"],
        ["--border", "drop"],
        ["--nuclei-only"],
        ["--format", "tif"],
        ["--channels", "red", "blue"],
        [],
    ],
    ids=lambda change: " ".join(change) or "another file",
)
def test_masks_of_another_run_are_refused_or_made_anew(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str]
) -> None:
    out, fresh = tmp_path / "m", tmp_path / "fresh"
    assert run(images, out) == 0
    before = (out / "a_mask.png").read_bytes()
    if not change:
        os.utime(images / "a_red.png", ns=(1, 1))
    assert run(images, out, *change) == 2
    message = capsys.readouterr().err
    assert "was made with other options, from other files or by another version" in message
    assert f"the outputs of {2 if change else 1} of 2 images; give --overwrite" in message
    assert (out / "a_mask.png").read_bytes() == before
    assert run(images, out, *change, "--overwrite") == 0
    assert run(images, fresh, *change) == 0
    names = sorted(path.name for path in fresh.glob("*_mask.*"))
    assert sorted(path.name for path in out.glob("*_mask.*")) == names
    for name in names:
        assert (out / name).read_bytes() == (fresh / name).read_bytes()


def test_a_place_that_cannot_be_written_is_found_before_the_work(
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folder_module, "_segment_one", lambda *_, **__: pytest.fail("worked"))
    (tmp_path / "file").write_text("")
    for options in (
        ["--out", str(tmp_path / "file")],
        ["--out", str(tmp_path / "m"), "--qc", str(tmp_path / "file" / "p")],
    ):
        assert main([str(images), *options]) == 2
        assert "cannot be written" in capsys.readouterr().err
    for name in ("m/segment_report.json", "p/contact_sheet.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("the user's")
        assert run(images, tmp_path / "m", "--qc", str(tmp_path / "p"), "--overwrite") == 2
        assert "was not written by segment" in capsys.readouterr().err
        (tmp_path / name).unlink()


def test_a_full_disk_ends_the_run_and_the_next_goes_on(
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = folder_module.write_label_image

    def write_one(path: Path, label_image: np.ndarray) -> None:
        write(path, label_image)
        if list((tmp_path / "m").glob("a_mask.png")):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "write_label_image", write_one)
        assert run(images, tmp_path / "m") == 2
    assert "b_mask.png: found a full disk" in capsys.readouterr().err
    assert run(images, tmp_path / "m") == 0
    assert "4 cells in 2 images | 1 images were done before" in notes_of(tmp_path / "m")


def test_given_masks_are_listed_once_and_a_double_fails_alone(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    assert run(images, first) == 0
    shutil.copy(first / "a_mask.png", first / "a.png")
    scan, calls = given_module.scan_masks, []
    monkeypatch.setattr(given_module, "scan_masks", lambda path: calls.append(path) or scan(path))
    assert run(images, tmp_path / "m", "--method", "masks", "--masks", str(first)) == 1
    report = json.loads((tmp_path / "m" / "segment_report.json").read_text())
    assert [failure["id"] for failure in report["failed"]] == ["a"]
    assert "a second mask of a beside a.png" in report["failed"][0]["message"]
    assert report["done"] == 1
    assert calls == [first]


def test_shards_and_workers_give_the_same_masks(images: Path, tmp_path: Path) -> None:
    assert run(images, tmp_path / "one") == 0
    assert run(images, tmp_path / "two", "--shard", "1/2") == 0
    assert [path.name for path in (tmp_path / "two").glob("*.png")] == ["a_mask.png"]
    assert run(images, tmp_path / "two", "--shard", "2/2", "--workers", "2") == 0
    for name in ("a_mask.png", "b_mask.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "two" / "segment_report.shard-2-of-2.json").exists()


def test_cells_at_the_border_and_nuclei_alone(images: Path, tmp_path: Path) -> None:
    assert run(images, tmp_path / "drop", "--border", "drop") == 0
    assert read_label_image(tmp_path / "drop" / "a_mask.png").max() == 1
    assert run(images, tmp_path / "dna", "--nuclei-only", "--nucleus-diameter-px", "20") == 0
    areas = np.bincount(read_label_image(tmp_path / "dna" / "a_mask.png").ravel())[1:]
    assert areas == pytest.approx([np.pi * 100] * 2, rel=0.15)


def test_given_masks_are_taken_over(images: Path, tmp_path: Path) -> None:
    assert run(images, tmp_path / "first") == 0
    options = ["--method", "masks", "--masks", str(tmp_path / "first")]
    assert run(images, tmp_path / "second", *options) == 0
    for name in ("a_mask.png", "b_mask.png"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["--method", "hpacellseg"], "--method hpacellseg: needs --nuclei-weights", id="weights"
        ),
        pytest.param(["--method", "masks"], "give --masks PATH", id="masks"),
        pytest.param(
            ["--masks", "x"], "--masks: belongs to --method masks, not to watershed", id="not its"
        ),
        pytest.param(
            ["--device", "cpu"], "belongs to --method hpacellseg or cellpose, not", id="device"
        ),
        pytest.param(
            ["--method", "cellpose", "--nuclei-only"],
            "--nuclei-only: belongs to --method watershed, not to cellpose",
            id="nuclei only",
        ),
        pytest.param(["--nucleus-diameter-um", "12"], "needs --pixel-um; give both", id="pixel"),
        pytest.param(["--shard", "3/2"], "i/n with i from 1 to n", id="shard"),
        pytest.param(["--pattern", "{id}.czi"], "found no image files", id="pattern"),
        pytest.param(["--workers", "0"], "--workers: found 0", id="workers"),
    ],
)
def test_bad_options_write_no_mask(
    options: list[str],
    message: str,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(images, tmp_path / "m", *options) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("m/*_mask.png"))


def test_folders_are_kept_apart(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(images, images) == 2
    assert "is the images' own folder" in capsys.readouterr().err
    masks = ["--method", "masks", "--masks", str(tmp_path / "m")]
    assert run(images, tmp_path / "m") == 0
    assert run(images, tmp_path / "m", *masks, "--overwrite") == 2
    assert "is an input of this run" in capsys.readouterr().err
    assert run(images, tmp_path / "m", "--nuclei-out", str(tmp_path / "m")) == 2
    assert "is the folder of --out" in capsys.readouterr().err


def test_outlines_are_drawn_in_their_colours() -> None:
    cells, nuclei = np.zeros((30, 41), np.int32), np.zeros((30, 41), np.int32)
    cells[5:25, 5:36], nuclei[10:20, 12:24] = 3, 3
    picture = draw_outlines({"blue": np.zeros((30, 41), np.uint8)}, Segmentation(nuclei, cells))
    assert picture.shape == (30, 41, 3)
    assert tuple(picture[5, 20]) == tuple(picture[24, 20]) == CELL_COLOUR
    assert tuple(picture[10, 15]) == NUCLEUS_COLOUR
    assert not picture[4, 20].any()
    assert not picture[0, 0].any()
