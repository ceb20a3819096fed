"""Conversion of bad input: one bad image is named, bad sources end the run."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conversions import failures_of
from make_dataset import SHAPE_HW, Dataset, label_image_of, options
from PIL import Image

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.errors import InputError


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def save(path: Path, picture: np.ndarray) -> None:
    Image.fromarray(picture).save(path)


BAD_INPUT = {
    "channel missing": (
        lambda d: (d.images / "b_blue.png").unlink(),
        "image b: found no blue file",
    ),
    "image missing": (
        lambda d: [path.unlink() for path in d.images.glob("b_*")],
        "b_mask.png: found no image files of b in",
    ),
    "mask missing": (lambda d: (d.masks / "b_mask.png").unlink(), "image b: found no mask in"),
    "row missing": (
        lambda d: d.labels.write_text("ID,Label\na,1\nc,2\n"),
        "b_mask.png: found no row for b in",
    ),
    "unknown label": (
        lambda d: d.labels.write_text("ID,Label\na,1\nb,19\nc,2\n"),
        "labels.csv, row 3: found label index 19, expected 0 to 18",
    ),
    "row twice": (
        lambda d: d.labels.write_text("ID,Label\na,1\nb,1\nb,1\nc,2\n"),
        "labels.csv, row 4: found b again",
    ),
    "channel cut": (lambda d: cut(d.images / "b_red.png"), "b_red.png: found a truncated picture"),
    "mask cut": (lambda d: cut(d.masks / "b_mask.png"), "b_mask.png: found an unreadable picture"),
    "mask empty": (
        lambda d: (d.masks / "b_mask.png").write_bytes(b""),
        "b_mask.png: found an empty",
    ),
    "channel empty": (
        lambda d: (d.images / "b_red.png").write_bytes(b""),
        "b_red.png: found an empty file",
    ),
    "channel of another size": (
        lambda d: save(d.images / "b_green.png", np.zeros((23, 41), np.uint8)),
        "b_green.png: found 41x23 uint8, expected 40x23 uint8 as its red channel",
    ),
    "mask of another size": (
        lambda d: save(d.masks / "b_mask.png", label_image_of(0, shape_hw=(24, 40))),
        "b_red.png: found 40x23 pixels, expected 40x24 as in",
    ),
    "mask in colour": (
        lambda d: save(
            d.masks / "b_mask.png", np.random.default_rng(0).integers(0, 9, (23, 40, 3), np.uint8)
        ),
        "b_mask.png: found a colour picture",
    ),
    "mask with a loop": (
        lambda d: [
            (d.masks / "b_mask.png").unlink(),
            (d.masks / "b_mask.png").symlink_to(d.masks / "b_mask.png"),
        ],
        "b_mask.png: found Too many levels of symbolic links",
    ),
    "two masks": (
        lambda d: save(d.masks / "b.png", label_image_of(0)),
        "b_mask.png: found a second mask of b beside b.png",
    ),
    "not a picture": (
        lambda d: (d.masks / "b_mask.png").write_text("none"),
        "b_mask.png: found an unknown kind of file",
    ),
}


@pytest.mark.parametrize("case", list(BAD_INPUT))
def test_one_bad_image_is_named_and_the_others_are_written(
    dataset: Dataset, tmp_path: Path, case: str
) -> None:
    spoil, message = BAD_INPUT[case]
    spoil(dataset)
    report = convert(dataset.sources(), tmp_path / "t.json")
    failures = failures_of(report)
    assert list(failures) == ["b"]
    assert message in failures["b"]
    assert report.exit_status == 1
    assert [image.image_id for image in read_coco(tmp_path / "t.json").images] == [1, 3]
    written = json.loads((tmp_path / "t.json.report.json").read_text())
    assert written["failed"] == [{"id": "b", "message": failures["b"]}]


def test_rows_without_files_are_one_note(dataset: Dataset, tmp_path: Path) -> None:
    with dataset.labels.open("a") as handle:
        handle.writelines(f"other{number:04},3\n" for number in range(1000))
    report = convert(dataset.sources(), tmp_path / "t.json")
    assert report.exit_status == 0
    [note] = [note for note in report.notes if "labels.csv" in note]
    assert "1000 of 1003 image ids have no files and are left out (other0000, other0001," in note
    assert len(note) < 300


def test_bad_rows_without_files_are_one_failure(dataset: Dataset, tmp_path: Path) -> None:
    with dataset.labels.open("a") as handle:
        handle.write("../x,3\nelsewhere,77\n")
    report = convert(dataset.sources(), tmp_path / "t.json")
    [message] = failures_of(report).values()
    assert "2 rows cannot be used: " in message
    assert "row 5: found image id '../x'" in message
    assert message.endswith("(and 1 more)")
    assert (report.done, report.exit_status) == (3, 1)


def test_a_mask_without_cells_gives_an_image_without_annotations(
    dataset: Dataset, tmp_path: Path
) -> None:
    save(dataset.masks / "b_mask.png", np.zeros(SHAPE_HW, np.uint8))
    report = convert(dataset.sources(), tmp_path / "t.json")
    assert report.exit_status == 0
    assert any("b_mask.png: no cells, so the image has no" in note for note in report.notes)
    assert [len(image.cells) for image in read_coco(tmp_path / "t.json").images] == [3, 0, 3]


def test_files_that_are_no_masks_are_noted(dataset: Dataset, tmp_path: Path) -> None:
    (dataset.masks / "notes.txt").touch()
    (dataset.masks / "segment_report.json").touch()  # which tools/segment.py leaves there
    report = convert(dataset.sources(), tmp_path / "t.json")
    assert any("1 files are no label images by their names" in note for note in report.notes)


def test_default_labels_stand_in_for_missing_rows(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(labels=None), tmp_path / "t.json", options(default_labels="18"))
    assert {image.image_labels for image in read_coco(tmp_path / "t.json").images} == {(18,)}


def test_more_than_65535_cells_are_converted(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    label_image = np.arange(300 * 220, dtype=np.uint32).reshape(300, 220)
    tifffile.imwrite(tmp_path / "masks/a.tif", label_image)
    report = convert(Sources(tmp_path / "masks"), tmp_path / "t.json", options(default_labels="0"))
    assert report.failures == []
    [image] = read_coco(tmp_path / "t.json").images
    assert len(image.cells) == 300 * 220 - 1
    assert image.cells[-1].cell_id == 300 * 220 - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"labels": None}, "labels: found no table, expected --labels", id="no table"),
        pytest.param({"masks": Path("no/where")}, "no/where: found no folder", id="no masks"),
        pytest.param({"images": Path("no/where")}, "no/where: found no folder", id="no images"),
        pytest.param({"labels": Path("no.csv")}, "no.csv: found no file", id="no such table"),
    ],
)
def test_bad_sources_end_the_run_with_nothing_written(
    dataset: Dataset, tmp_path: Path, change: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        convert(dataset.sources(**change), tmp_path / "out" / "t.json")
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text_fails_alone(dataset: Dataset, tmp_path: Path) -> None:
    for path in [*dataset.images.glob("b_*"), *dataset.masks.glob("b_*")]:
        path.rename(path.with_name(path.name.replace("b_", os.fsdecode(b"\xe9_"))))
    report = convert(dataset.sources(), tmp_path / "t.json")
    [message] = failures_of(report).values()
    assert "\\xe9_mask.png: has a file name that is not UTF-8; rename the files" in message
    assert [image.hpa_id for image in read_coco(tmp_path / "t.json").images] == ["a", "c"]


def test_a_folder_whose_name_is_no_text_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    images = dataset.images.rename(dataset.images.with_name(os.fsdecode(b"\xe9")))
    with pytest.raises(InputError, match=r"xe9: has a file name that is not UTF-8"):
        convert(dataset.sources(images=images), tmp_path / "t.json")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: (d.nuclei / "b_mask.png").unlink(), "found no nuclei of b in"),
        (
            lambda d: save(d.nuclei / "b_mask.png", np.zeros((9, 9), np.uint8)),
            "b_mask.png: found 9x9 pixels, expected 40x23",
        ),
        (
            lambda d: save(d.nuclei / "b_mask.png", np.eye(*SHAPE_HW, dtype=np.uint8) * 77),
            "b_mask.png: found nucleus 77 without a cell of its id",
        ),
    ],
)
def test_nuclei_must_fit_their_cells(dataset: Dataset, tmp_path: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    spoil(dataset)
    report = convert(dataset.sources(nuclei=dataset.nuclei), tmp_path / "t.json")
    assert message in failures_of(report)["b"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layout": "flat"}, "--layout: found flat, expected one of per-cell, per-label"),
        ({"min_area_px": 9, "max_area_px": 8}, "--max-area: found 8, expected at least 9"),
        ({"min_area_px": -3}, "--min-area: found -3, expected at least 0"),
        ({"min_focus": -0.5}, "--min-focus: found -0.5, expected at least 0"),
        ({"max_pixels": 0}, "--max-pixels: found 0, expected at least 1"),
        ({"focus_channel": "uv"}, "--focus-channel: found uv, expected one of red, green"),
    ],
)
def test_options_that_cannot_be_are_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        options(**values)
