"""A folder's images share one scale, the same for every shard, and doubts are reported."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.cli.segment import main
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.jobs import Report
from hpa_mmdet.segment import GivenMasks, HpaCellSegmenter, NucleusSize, WatershedSegmenter
from hpa_mmdet.segment import folder as folder_module
from hpa_mmdet.segment.cellpose import CellposeSegmenter
from hpa_mmdet.segment.folder_scale import (
    FolderScale,
    fit_to_image,
    pool,
    with_scale,
)
from hpa_mmdet.segment.protocol import Segmentation
from hpa_mmdet.segment.run_notes import _about_scale, image_note
from hpa_mmdet.segment.scale import SizeEstimate

SHAPE_HW = (120, 170)


def picture(path: Path, radius: float, *centres: tuple[int, int]) -> None:
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    plane = np.full(SHAPE_HW, 8, np.uint8)
    for centre in centres:
        plane[np.hypot(y - centre[0], x - centre[1]) < radius] = 150
    Image.fromarray(plane).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three pictures of nuclei of 20 pixels, and one of a single large light."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a", "b", "c"):
        picture(folder / f"{name}.png", 10, (30, 30), (30, 85), (60, 130), (90, 40), (90, 90))
    picture(folder / "d.png", 34, (60, 85))
    return folder


def run(images: Path, out: Path, *options: str) -> int:
    dna = ["--nuclei-only", "--pattern", "{id}.png", "--channels", "blue"]
    return main([str(images), "--out", str(out), *dna, *options])


def report_of(out: Path, name: str = "segment_report.json") -> dict:
    return dict(json.loads((out / name).read_text()))


def scale_in(notes: list[str]) -> tuple[float, str]:
    """The scale that the notes tell, and what they say after it."""
    [note] = [note for note in notes if note.startswith("nuclei are taken to be about ")]
    number, rest = note.removeprefix("nuclei are taken to be about ").split(" ", 1)
    return float(number), rest


def counts(out: Path) -> dict[str, int]:
    return {path.name[0]: int(read_label_image(path).max()) for path in out.glob("*_mask.png")}


def test_a_folder_has_one_scale_and_each_image_its_own_on_request(
    images: Path, tmp_path: Path
) -> None:
    assert run(images, tmp_path / "m") == 0
    assert counts(tmp_path / "m") == {"a": 5, "b": 5, "c": 5, "d": 0}
    notes = report_of(tmp_path / "m")["notes"]
    assert scale_in(notes) == (pytest.approx(20, abs=1), "pixels wide in all images")
    assert not any("unsure" in note for note in notes)
    own = tmp_path / "own"
    assert run(images, own, "--scale-per-image") == 1
    assert counts(own) == {"a": 5, "b": 5, "c": 5, "d": 1}
    report = report_of(own)
    assert not any("in all images" in note for note in report["notes"])
    assert (
        "the size of nuclei is unsure in 1 images (look at --qc, give --nucleus-diameter-px): "
        "d (one nucleus stands out)"
    ) in report["notes"]
    assert report["warnings"] == [
        "1 images have a nucleus of a tenth of the picture or more, so that the size was "
        "probably estimated wrongly (look at --qc, give --nucleus-diameter-px): d"
    ]
    assert (report["done"], report["failed"]) == (4, [])
    assert run(images, own, "--scale-per-image") == 1  # nothing left to do, still wrong
    assert report_of(own)["warnings"] == report["warnings"]
    again = "4 images were done before (--overwrite makes them anew)"
    assert again in report_of(own)["notes"]


def test_a_size_that_is_given_is_not_doubted(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(images, tmp_path / "m", "--nucleus-diameter-px", "68") == 0
    report = report_of(tmp_path / "m")
    assert "warnings" not in report
    assert "1 images have a nucleus of a tenth of the picture or more: d" in report["notes"]
    assert "warning" not in capsys.readouterr().out


def test_shards_and_workers_have_the_folders_scale(images: Path, tmp_path: Path) -> None:
    assert run(images, tmp_path / "one") == 0
    for shard in ("4/4", "1/4", "2/4", "3/4"):  # the light's own scale would be 68
        assert run(images, tmp_path / f"shard{shard[0]}", "--shard", shard, "--workers", "2") == 0
        name = f"segment_report.shard-{shard[0]}-of-4.json"
        notes = report_of(tmp_path / f"shard{shard[0]}", name)["notes"]
        assert scale_in(notes)[0] == pytest.approx(20, abs=1)
    for at, name in enumerate("abcd", start=1):
        path = f"{name}_mask.png"
        whole = (tmp_path / "one" / path).read_bytes()
        assert (tmp_path / f"shard{at}" / path).read_bytes() == whole


def test_a_folder_that_grows_keeps_its_scale_until_it_is_made_anew(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(images, tmp_path / "m") == 0
    for name in "efghijk":
        picture(images / f"{name}.png", 16, (30, 30), (30, 85), (60, 130), (90, 40), (90, 90))
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "measure_folder", lambda *_, **__: pytest.fail("measured"))
        assert run(images, tmp_path / "m") == 0
    notes = report_of(tmp_path / "m")["notes"]
    assert scale_in(notes) == (
        pytest.approx(20, abs=1),
        "pixels wide in all images, as in the run before",
    )
    assert counts(tmp_path / "m")["k"] == 5
    assert run(images, tmp_path / "m", "--overwrite") == 1  # the light is as a nucleus now
    assert scale_in(report_of(tmp_path / "m")["notes"])[0] == pytest.approx(32, abs=2)
    # another choice is another run
    assert run(images, tmp_path / "m", "--scale-per-image") == 2


def test_images_of_another_scale_are_named(images: Path, tmp_path: Path) -> None:
    large = [(30, 30), (30, 120), (90, 30), (90, 120)]
    picture(images / "d.png", 24, *large)
    assert run(images, tmp_path / "m") == 0
    [note] = [note for note in report_of(tmp_path / "m")["notes"] if "another size" in note]
    assert note == (
        "1 images have nuclei of another size (give --scale-per-image if they were taken at "
        "another scale): d (48)"
    )


@pytest.mark.parametrize(
    ("estimates", "expected"),
    [
        pytest.param([], None, id="none"),
        pytest.param([(40, 9, "")], (40, ""), id="one"),
        pytest.param([(40, 3, ""), (44, 2, ""), (50, 2, "")], (44, ""), id="median by nuclei"),
        pytest.param([(40, 5, ""), (44, 900, ""), (50, 5, "")], (44, ""), id="many"),
        pytest.param([(40, 25, ""), (44, 5, ""), (50, 9, "")], (44, ""), id="at most five"),
        pytest.param([(40, 9, ""), (90, 30, "two sizes stand out")], (40, ""), id="sure first"),
        pytest.param([(40, 2, "2"), (44, 1, "1")], (40, ""), id="enough together"),
        pytest.param(
            [(40, 1, "1"), (44, 1, "1")], (40, "2 nuclei in 2 images stand out"), id="few"
        ),
        pytest.param(
            [(40, 9, "two sizes stand out"), (44, 1, "1")],
            (40, "two sizes stand out"),
            id="all doubted",
        ),
        pytest.param([(40, 9, "two"), (44, 9, "no size")], (40, "no size; two"), id="two doubts"),
        pytest.param(
            [(40, 5, ""), (90, 3, "")],
            (40, "nuclei of 40 to 90 pixels in different images"),
            id="differ",
        ),
        pytest.param([(40, 5, ""), (90, 2, "")], (40, ""), id="differ little"),
        pytest.param([(40, 9, ""), (65, 9, "")], (40, ""), id="of about one size"),
    ],
)
def test_estimates_are_pooled(
    estimates: list[tuple[float, int, str]], expected: tuple[float, str] | None
) -> None:
    found = pool([SizeEstimate(*values) for values in estimates])
    assert found == (None if expected is None else FolderScale(*expected))


def test_segmenters_need_a_scale_where_nothing_is_known() -> None:
    known, pixel = NucleusSize(diameter_px=20), NucleusSize(pixel_um=0.5)
    for size, watershed, networks in ((NucleusSize(), 1, 1), (known, 0, 0), (pixel, 1, 0)):
        expected = size if watershed else None
        assert WatershedSegmenter(size).size_to_estimate == expected
        assert CellposeSegmenter(size=size).size_to_estimate == expected
        hpa = HpaCellSegmenter(Path("n"), Path("c"), size)
        assert hpa.size_to_estimate == (size if networks else None)
    assert GivenMasks(Path("m")).size_to_estimate is None
    assert with_scale(GivenMasks(Path("m")), 30) == GivenMasks(Path("m"))
    fixed = with_scale(WatershedSegmenter(pixel, nuclei_only=True), 33.333)
    assert fixed == WatershedSegmenter(NucleusSize(33.3, pixel_um=0.5), nuclei_only=True)
    assert with_scale(WatershedSegmenter(pixel), 300) == WatershedSegmenter(
        NucleusSize(80, pixel_um=0.5)
    )


def test_one_image_is_fitted_with_its_doubts() -> None:
    y, x = np.mgrid[:120, :170]
    plane = np.where(np.hypot(y - 60, x - 85) < 20, 150, 8).astype(np.uint8)
    fitted, doubt = fit_to_image(WatershedSegmenter(), {"blue": plane})
    assert doubt == "one nucleus stands out"
    assert fitted.size.diameter_px == pytest.approx(40, rel=0.1)  # type: ignore[attr-defined]
    known = WatershedSegmenter(NucleusSize(diameter_px=7))
    assert fit_to_image(known, {"blue": plane}) == (known, "")
    assert fit_to_image(WatershedSegmenter(), {"blue": 0 * plane}) == (WatershedSegmenter(), "")
    cellpose = CellposeSegmenter()
    assert fit_to_image(cellpose, {"blue": plane}) == (cellpose, "")


def test_what_is_remembered_of_an_image() -> None:
    nuclei, cells = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    nuclei[:2, :2], nuclei[5:9, 5:9], cells[:9, :9] = 1, 3, 3
    note = image_note(Segmentation(nuclei, cells), None, "")
    assert note == {
        "cells": 3,
        "largest_nucleus": 16 / 200,
        "nuclei": 2,
        "nucleus_px": pytest.approx(2 * np.sqrt(10 / np.pi)),
    }
    empty = Segmentation(0 * nuclei, 0 * cells)
    assert image_note(empty, FolderScale(20, "why"), "few") == {
        "cells": 0,
        "largest_nucleus": 0,
        "nuclei": 0,
        "nucleus_px": 0,
        "folder_scale_px": 20,
        "scale_doubt": "why",
        "doubt": "few",
    }


def test_ten_of_many_images_are_named() -> None:
    notes = {f"i{number}": {"nuclei": 3, "nucleus_px": 90.0} for number in range(11)}
    assert _about_scale(FolderScale(40, ""), notes)[1].endswith("i8 (90), i9 (90), ...")
    del notes["i0"]
    assert _about_scale(FolderScale(40, ""), notes)[1].endswith("i9 (90), i10 (90)")


def test_a_warning_is_said_and_tells_in_the_exit_status(tmp_path: Path) -> None:
    report = Report("segment", done=2, notes=["n"], warnings=["w"])
    assert report.exit_status == 1
    assert report.summary() == "segment: 2 done, 0 failed\nn\nwarning: w"
    assert Report("segment", done=2, notes=["n"]).exit_status == 0
