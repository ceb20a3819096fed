"""All real masks convert to what an independent count says."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.coco.validate import validate


def count_cells(image: CocoImage, path: Path) -> None:
    """Cells, areas and boxes by numpy alone, and the masks of a few by pycocotools."""
    with Image.open(path) as picture:
        label_image = np.array(picture)
    ids, areas = np.unique(label_image[label_image > 0], return_counts=True)
    assert [cell.cell_id for cell in image.cells] == ids.tolist()
    assert [cell.area for cell in image.cells] == areas.tolist()
    assert image.shape_hw == label_image.shape
    for cell in image.cells:
        x, y, width, height = cell.bbox_xywh
        inside = label_image[y : y + height, x : x + width] == cell.cell_id
        assert np.count_nonzero(inside) == cell.area
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()
    if image.cells:
        cell = image.cells[len(image.cells) // 2]
        mask = coco_mask.decode({"size": image.shape_hw, "counts": cell.counts.encode()})
        assert (mask.astype(bool) == (label_image == cell.cell_id)).all()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def indices(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(word) for word in text.split("|")))


@pytest.mark.parametrize("kind", ["truth", "segmenter"])
def test_the_148_pairs_of_hpa_manual(real_data: Path, tmp_path: Path, kind: str) -> None:
    folder = real_data / "hpa_manual"
    truth = folder / "cells.csv" if kind == "truth" else None
    sources = Sources(folder / kind, folder / "images.csv", cell_labels=truth)
    report = convert(sources, tmp_path / "t.json")
    assert (report.done, report.failures) == (148, [])
    images = {image.hpa_id: image for image in read_coco(tmp_path / "t.json").images}
    assert sum(len(image.cells) for image in images.values()) == {"truth": 2060}.get(kind, 2093)
    for row in rows_of(folder / "images.csv"):
        image = images[row["ID"]]
        assert image.image_labels == indices(row["Label"])
        if truth is None:
            assert {cell.hpa_indices for cell in image.cells} <= {image.image_labels}
    if truth is not None:
        for row in rows_of(truth):
            [cell] = [c for c in images[row["ID"]].cells if c.cell_id == int(row["cell_id"])]
            assert cell.hpa_indices == indices(row["cell_labels"])
    for image in list(images.values())[::6]:
        count_cells(image, folder / kind / f"{image.hpa_id}_mask.png")
    assert validate(tmp_path / "t.json").errors == 0


def test_the_ten_of_the_contest_without_pixels(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "hpa_contest"
    report = convert(Sources(folder / "masks", folder / "train.csv"), tmp_path / "t.json")
    assert (report.done, report.exit_status) == (10, 0)
    assert "21796 of 21806 image ids have no files" in report.notes[0]
    for image in read_coco(tmp_path / "t.json").images:
        count_cells(image, folder / "masks" / f"{image.hpa_id}_mask.png")


def test_the_three_of_the_contest_with_pixels(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "hpa_contest"
    sources = Sources(folder / "masks", folder / "train.csv", folder / "train")
    report = convert(sources, tmp_path / "t.json")
    assert (report.done, len(report.failures), report.exit_status) == (3, 7, 1)
    assert all("no image files of" in failure.message for failure in report.failures)
    for image in read_coco(tmp_path / "t.json").images:
        count_cells(image, folder / "masks" / f"{image.hpa_id}_mask.png")
        assert sorted(image.channel_files) == ["blue", "green", "red", "yellow"]
    assert validate(tmp_path / "t.json").errors == 0


def test_colour_jpegs_with_labels_of_2018(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "hpa_dictionary"
    (tmp_path / "masks").mkdir()
    for path in (folder / "images").glob("*.jpg"):  # one square in place of cells
        label_image = np.zeros((820, 820), np.uint8)
        label_image[100:300, 200:500] = 1
        Image.fromarray(label_image).save(tmp_path / "masks" / f"{path.stem}.png")
    options = ConvertOptions(
        pattern="{id}.jpg", channels=("red", "green", "blue"), label_scheme="hpa28"
    )
    sources = Sources(tmp_path / "masks", folder / "labels_2018.csv", folder / "images")
    report = convert(sources, tmp_path / "t.json", options)
    assert (report.done, report.failures) == (55, [])
    doubts = [note for note in report.notes if " counted as " in note]
    assert len(doubts) == 4
    assert any("2 x label 27 counted as Cytosol" in note for note in doubts)
    image = read_coco(tmp_path / "t.json").images[0]
    assert image.channel_files["blue"] == f"{image.hpa_id}.jpg#2"
    assert validate(tmp_path / "t.json").errors == 0
