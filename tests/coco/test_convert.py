"""Conversion: what is written, and what is said of each thing that is wrong."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from make_dataset import SHAPE_HW, Dataset, label_image_of, make_dataset, options, write_csv
from PIL import Image

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.filters import measure_focus
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.jobs import Report
from hpa_mmdet.masks.label_image import label_image_from_rles


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")


def failures_of(report: Report) -> dict[str, str]:
    return {failure.item_id: failure.message for failure in report.failures}


def test_every_cell_inherits_its_images_labels(dataset: Dataset, tmp_path: Path) -> None:
    report = convert(dataset.sources(), tmp_path / "out" / "train.json")
    assert (report.done, report.failures) == (3, [])
    content = json.loads((tmp_path / "out" / "train.json").read_text())
    assert content["info"]["images_root"] == "../data/images"
    assert [category["id"] for category in content["categories"]] == list(range(1, 20))
    assert content["images"][1] == {
        "id": 2,
        "file_name": "b_green.png",
        "width": 40,
        "height": 23,
        "hpa_id": "b",
        "channel_files": {c: f"b_{c}.png" for c in ("red", "green", "blue", "yellow")},
        "labels": [1, 16],
    }
    annotations = content["annotations"]
    assert [cell["id"] for cell in annotations] == list(range(1, 10))
    assert [cell["cell_id"] for cell in annotations] == [1, 3, 5] * 3
    assert [cell["category_ids"] for cell in annotations[3:6]] == [[2, 17]] * 3
    assert [cell["category_id"] for cell in annotations[3:6]] == [2] * 3
    assert [cell["touches_border"] for cell in annotations[:3]] == [True, False, False]
    assert {cell["iscrowd"] for cell in annotations} == {0}


def test_the_masks_come_back_from_the_json(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "train.json")
    data = read_coco(tmp_path / "train.json")
    assert data.images_root is not None
    assert data.images_root.resolve() == dataset.images
    for image in data.images:
        drawn = label_image_from_rles(
            [cell.counts for cell in image.cells],
            image.shape_hw,
            [cell.cell_id for cell in image.cells],
        )
        assert (drawn == read_label_image(dataset.masks / f"{image.hpa_id}_mask.png")).all()


def test_masks_alone_are_enough(dataset: Dataset, tmp_path: Path) -> None:
    with_images, without = tmp_path / "with.json", tmp_path / "without.json"
    convert(dataset.sources(), with_images)
    convert(dataset.sources(images=None), without)
    assert (
        json.loads(with_images.read_text())["annotations"]
        == (json.loads(without.read_text())["annotations"])
    )
    data = read_coco(without)
    assert data.images_root is None
    assert [(image.file_name, image.channel_files) for image in data.images[:1]] == [
        ("a_green.png", {})
    ]


def test_true_sets_replace_the_inherited_ones(dataset: Dataset, tmp_path: Path) -> None:
    sources = dataset.sources(cell_labels=dataset.cell_labels)
    convert(sources, tmp_path / "truth.json")
    image = read_coco(tmp_path / "truth.json").images[1]
    assert image.image_labels == (1, 16)
    assert [cell.hpa_indices for cell in image.cells] == [(16,), (1, 16), (18,)]
    # without a table of image labels an image has the labels of its cells
    convert(dataset.sources(cell_labels=dataset.cell_labels, labels=None), tmp_path / "cells.json")
    assert read_coco(tmp_path / "cells.json").images[1].image_labels == (1, 16, 18)


def test_cells_without_a_set_fail_where_nothing_is_known_of_their_image(
    dataset: Dataset, tmp_path: Path
) -> None:
    rows = [("a", 1, "16"), ("b", 1, "1"), ("b", 3, "1"), ("b", 5, "1")]
    write_csv(dataset.cell_labels, ("ID", "cell_id", "cell_labels"), rows)
    sources = dataset.sources(cell_labels=dataset.cell_labels, labels=None)
    failures = failures_of(convert(sources, tmp_path / "a.json"))
    assert set(failures) == {"a", "c"}
    assert "for cell 3, 5, expected one for each cell of the mask, or --labels" in (failures["a"])


def test_cells_without_a_row_are_left_out_where_asked(dataset: Dataset, tmp_path: Path) -> None:
    rows = [("a", 1, "16"), ("a", 9, "3"), ("b", 1, "1"), ("b", 3, "1"), ("b", 5, "1")]
    write_csv(dataset.cell_labels, ("ID", "cell_id", "cell_labels"), rows)
    sources = dataset.sources(cell_labels=dataset.cell_labels)
    report = convert(sources, tmp_path / "b.json", options(skip_unlabelled_cells=True))
    assert report.failures == []
    assert [len(image.cells) for image in read_coco(tmp_path / "b.json").images] == [1, 3, 0]
    assert any("no cell 9, so the rows of" in note for note in report.notes)
    dropped = (tmp_path / "b_dropped.csv").read_text().splitlines()
    assert dropped[:2] == [
        "ID,cell_id,reason,value",
        "a,3,no row in the cell labels,72",
    ]
    assert len(dropped) == 1 + 2 + 3


def test_one_annotation_a_label_where_asked(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "a.json", options(layout="per-label"))
    convert(dataset.sources(), tmp_path / "b.json")
    annotations = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert [cell["category_ids"] for cell in annotations[:4]] == [[1], [17], [1], [17]]
    assert len({cell["id"] for cell in annotations}) == len(annotations) == 18
    joined, plain = (read_coco(tmp_path / name).images for name in ("a.json", "b.json"))
    assert [len(image.cells) for image in joined] == [3, 3, 3]
    for one, other in zip(joined, plain, strict=True):
        assert [cell.hpa_indices for cell in one.cells] == [
            cell.hpa_indices for cell in other.cells
        ]


def test_nuclei_and_cytoplasm_are_sets_of_their_own(dataset: Dataset, tmp_path: Path) -> None:
    sources = dataset.sources(nuclei=dataset.nuclei, cell_labels=dataset.cell_labels)
    convert(sources, tmp_path / "t.json", options(cytoplasm=True))
    cells, nuclei, cytoplasm = (
        read_coco(tmp_path / name).images[0]
        for name in ("t.json", "t_nuclei.json", "t_cytoplasm.json")
    )
    for cell, nucleus, rest in zip(cells.cells, nuclei.cells, cytoplasm.cells, strict=True):
        assert cell.cell_id == nucleus.cell_id == rest.cell_id
        assert cell.hpa_indices == nucleus.hpa_indices == rest.hpa_indices
        assert cell.area == nucleus.area + rest.area
        assert nucleus.bbox_xywh[1] >= 7


def test_nuclei_and_cytoplasm_go_with_their_cells(dataset: Dataset, tmp_path: Path) -> None:
    # each is smaller than --min-area, but only cells are measured
    sources = dataset.sources(nuclei=dataset.nuclei)
    chosen = options(cytoplasm=True, drop_border=True, min_area_px=70)
    convert(sources, tmp_path / "t.json", chosen)
    for name in ("t.json", "t_nuclei.json", "t_cytoplasm.json"):
        images = read_coco(tmp_path / name).images
        assert [[cell.cell_id for cell in image.cells] for image in images] == [[3, 5]] * 3
    assert len((tmp_path / "t_dropped.csv").read_text().splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("values", "kept", "reasons"),
    [
        pytest.param({"min_area_px": 73}, 0, {"area below --min-area"}, id="small"),
        pytest.param({"max_area_px": 71}, 0, {"area above --max-area"}, id="large"),
        pytest.param({"drop_border": True}, 6, {"touches the border"}, id="border"),
        pytest.param({"min_area_px": 72, "max_area_px": 72}, 9, set(), id="limits count in"),
    ],
)
def test_what_filters_drop_is_listed(
    dataset: Dataset, tmp_path: Path, values: dict, kept: int, reasons: set[str]
) -> None:
    report = convert(dataset.sources(), tmp_path / "t.json", options(**values))
    assert sum(len(image.cells) for image in read_coco(tmp_path / "t.json").images) == kept
    table = tmp_path / "t_dropped.csv"
    rows = table.read_text().splitlines()[1:] if reasons else []
    assert table.exists() == bool(reasons)
    assert len(rows) == 9 - kept
    assert {row.split(",")[2] for row in rows} == reasons
    assert any("left out, each with its reason" in note for note in report.notes) == bool(reasons)


def test_a_blurred_image_is_left_out_and_listed(dataset: Dataset, tmp_path: Path) -> None:
    flat = np.tile(np.arange(40, dtype=np.uint8), (23, 1))
    Image.fromarray(flat).save(dataset.images / "b_blue.png")
    report = convert(dataset.sources(), tmp_path / "t.json", options(min_focus=0.01))
    assert [image.hpa_id for image in read_coco(tmp_path / "t.json").images] == ["a", "c"]
    assert report.failures == []
    row = (tmp_path / "t_dropped.csv").read_text().splitlines()[1]
    assert row.startswith("b,,focus of blue below --min-focus,0.0")


def test_focus_falls_with_blur_and_ignores_gain_and_offset() -> None:
    sharp = np.random.default_rng(0).integers(0, 200, (60, 90)).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 2.0)
    assert measure_focus(blurred) < 0.5 * measure_focus(sharp)
    brighter = sharp.astype(np.uint16) * 7 + 1000
    assert measure_focus(brighter) == pytest.approx(measure_focus(sharp), rel=1e-4)
    assert measure_focus(np.full((9, 12), 7, np.uint8)) == 0.0


def test_planes_of_one_file_keep_their_places(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    stack = np.zeros((2, *SHAPE_HW), np.uint16)
    tifffile.imwrite(tmp_path / "images/x.ome.tif", stack, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "masks/x.tif", label_image_of(0))
    write_csv(tmp_path / "labels.csv", ("ID", "Label"), [("x", "3")])
    sources = Sources(tmp_path / "masks", tmp_path / "labels.csv", tmp_path / "images")
    convert(
        sources, tmp_path / "t.json", options(pattern="{id}.ome.tif", channels=("blue", "green"))
    )
    [image] = read_coco(tmp_path / "t.json").images
    assert image.file_name == "x.ome.tif"
    assert image.channel_files == {"blue": "x.ome.tif#0", "green": "x.ome.tif#1"}


def test_the_2018_scheme_is_mapped_and_doubts_are_counted(dataset: Dataset, tmp_path: Path) -> None:
    rows = [("a", "23 27"), ("b", "27"), ("c", "0")]
    write_csv(dataset.labels, ("Id", "Target"), rows)
    report = convert(dataset.sources(), tmp_path / "t.json", options(label_scheme="hpa28"))
    images = read_coco(tmp_path / "t.json").images
    assert [image.image_labels for image in images] == [(14, 16), (16,), (0,)]
    assert any("2 x label 27 counted as Cytosol: rods" in note for note in report.notes)


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cytoplasm": True}, "--cytoplasm: found no nuclei, expected --nuclei DIR"),
        ({"min_focus": 0.1}, "--min-focus: found no images, expected IMAGES"),
    ],
)
def test_an_option_without_its_source_is_refused(
    dataset: Dataset, tmp_path: Path, values: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        convert(dataset.sources(images=None), tmp_path / "t.json", options(**values))


def test_nothing_is_written_where_every_image_fails(dataset: Dataset, tmp_path: Path) -> None:
    for path in dataset.masks.iterdir():
        path.write_bytes(b"")
    report = convert(dataset.sources(), tmp_path / "out" / "t.json")
    assert report.exit_status == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_an_older_file_is_kept_unless_told(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json")
    with pytest.raises(InputError, match=r"t.json: is there from an earlier run; give --overwr"):
        convert(dataset.sources(), tmp_path / "t.json")
    convert(dataset.sources(), tmp_path / "t.json", overwrite=True)


@pytest.mark.parametrize(
    "name", ["t.json", "t_dropped.csv", "t_nuclei.json", "t_cytoplasm.json", "t.json.report.json"]
)
def test_files_of_the_user_are_never_replaced(dataset: Dataset, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("the user's")
    (tmp_path / "t.json.parts").mkdir()
    (tmp_path / "t.json.parts" / "notes.txt").write_text("the user's")
    sources, chosen = dataset.sources(nuclei=dataset.nuclei), options(cytoplasm=True)
    with pytest.raises(InputError, match=f"{name}: was not written by convert_coco, so it is nev"):
        convert(sources, tmp_path / "t.json", chosen, overwrite=True)
    assert (tmp_path / name).read_text() == "the user's"
    (tmp_path / name).unlink()
    convert(sources, tmp_path / "t.json", chosen)
    assert [path.name for path in (tmp_path / "t.json.parts").iterdir()] == ["notes.txt"]


def test_an_output_is_no_input(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels.csv: is an input of this run"):
        convert(dataset.sources(), dataset.labels, overwrite=True)
    assert dataset.labels.read_text().startswith("ID")


def test_what_was_dropped_before_goes_with_its_run(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=73))
    assert (tmp_path / "t_dropped.csv").exists()
    convert(dataset.sources(), tmp_path / "t.json", overwrite=True)
    assert not (tmp_path / "t_dropped.csv").exists()


def test_a_run_killed_among_its_outputs_goes_on(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=73))
    (tmp_path / "t.json").unlink()  # as if killed before it, when the others were there
    convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=73))
    (tmp_path / "t.json").unlink()
    with pytest.raises(InputError, match=r"t_dropped.csv: is there from an earlier run"):
        convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=74))


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
