"""tools/segment.py: what it writes, what it skips, what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.cli.segment import main
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.segment import Segmentation
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
    assert sorted(path.name for path in pictures.iterdir()) == ["a.jpg", "b.jpg", "contact_sheet.jpg"]  # fmt: skip
    report = json.loads((out / "segment_report.json").read_text())
    assert (report["done"], report["failed"]) == (2, [])
    assert "4 cells in 2 images" in report["notes"]


def test_what_exists_is_skipped_unless_told_otherwise(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "m"
    assert run(images, out) == 0
    whole = (out / "a_mask.png").read_bytes()
    (out / "a_mask.png").write_bytes(b"old")
    (out / "b_mask.png").unlink()
    assert run(images, out) == 0
    assert "1 images had masks and were skipped" in capsys.readouterr().out
    assert (out / "a_mask.png").read_bytes() == b"old"
    assert (out / "b_mask.png").exists()
    assert run(images, out, "--overwrite") == 0
    assert (out / "a_mask.png").read_bytes() == whole


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
        pytest.param(["--method", "hpacellseg"], "found no --nuclei-weights", id="weights"),
        pytest.param(["--method", "masks"], "give --masks PATH", id="masks"),
        pytest.param(["--masks", "x"], "--masks: found --method watershed", id="not its option"),
        pytest.param(
            ["--method", "cellpose", "--nuclei-only"],
            "expected --method watershed",
            id="nuclei only",
        ),
        pytest.param(["--nucleus-diameter-um", "12"], "found no --pixel-um", id="pixel"),
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
    assert "found the images' own folder" in capsys.readouterr().err
    assert run(images, tmp_path / "m", "--nuclei-out", str(tmp_path / "m")) == 2
    assert "found the folder of --out" in capsys.readouterr().err


def test_outlines_are_drawn_in_their_colours() -> None:
    cells, nuclei = np.zeros((30, 41), np.int32), np.zeros((30, 41), np.int32)
    cells[5:25, 5:36], nuclei[10:20, 12:24] = 3, 3
    picture = draw_outlines({"blue": np.zeros((30, 41), np.uint8)}, Segmentation(nuclei, cells))
    assert picture.shape == (30, 41, 3)
    assert tuple(picture[4, 20]) == tuple(picture[24, 20]) == CELL_COLOUR
    assert tuple(picture[9, 15]) == NUCLEUS_COLOUR
    assert not picture[0, 0].any()
