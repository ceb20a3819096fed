"""Conversion: what is written, and what is said of each thing that is wrong."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from conversions import failures_of
from make_dataset import SHAPE_HW, Dataset, label_image_of, options, write_csv
from PIL import Image

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.filters import measure_focus
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.masks.label_image import label_image_from_rles


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
