"""Each output, read back by others: pycocotools, pyarrow, tifffile, anndata."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cell_images import cell_image

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.outputs import OUTPUTS, RunContext
from hpa_mmdet.inference.outputs.annotated import AnnDataOutput
from hpa_mmdet.inference.outputs.gallery import GalleryOutput
from hpa_mmdet.inference.outputs.overlays import OverlaysOutput
from hpa_mmdet.inference.outputs.table import TABLE_COLUMNS
from hpa_mmdet.inference.plan import OUTPUT_NAMES
from hpa_mmdet.inference.stored_images import StoredImage
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.io.submission import decode_mask, read_submission
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.masks.runs import runs_of_crop
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction
from hpa_mmdet.predictions.submission_rows import prediction_of_row, row_of_prediction

SHAPE_HW = (60, 90)
CHANNELS = ("red", "green", "blue", "yellow")


def a_cell(x: int, y: int, width: int, height: int, score: float, hpa_index: int, cell_id=None):
    runs = runs_of_crop(np.ones((height, width), bool), x, y, SHAPE_HW)
    scores = np.full(19, 0.0005, np.float32)
    scores[hpa_index] = 0.8
    return CellPrediction.of_runs(runs, score, scores, cell_id)


def context(folder: Path, rules: CallRules | None = None, images: Path | None = None) -> RunContext:
    files = OutputFiles("infer", overwrite=True, root=folder)
    return RunContext(files, folder, images or folder, CHANNELS, rules or CallRules())


def write(
    name: str, folder: Path, predictions: list[ImagePrediction], rules: CallRules | None = None
) -> list[str]:
    """Write an output at the end of a run; the images' files are gone."""
    stored = [StoredImage(prediction, {}) for prediction in predictions]
    return OUTPUTS[name](context(folder, rules)).finish(lambda: iter(stored))


def test_the_names_in_the_help_are_those_of_the_outputs() -> None:
    assert tuple(OUTPUTS) == OUTPUT_NAMES


@pytest.fixture
def predictions() -> list[ImagePrediction]:
    cells = (a_cell(0, 5, 20, 10, 0.9, 14), a_cell(10, 8, 20, 10, 0.5, 2))
    given = (a_cell(40, 40, 5, 6, 1.0, 0, 7), a_cell(50, 50, 9, 9, 1.0, 18, 70_000))
    return [
        ImagePrediction("a", 90, 60, cells, np.full(19, 0.5, np.float32)),
        ImagePrediction("b", 90, 60),
        ImagePrediction("c", 90, 60, given),
    ]


def test_a_submission_row_has_products_and_masks(predictions: list[ImagePrediction]) -> None:
    row = row_of_prediction(predictions[0], min_confidence=0.01)
    assert [(k, pytest.approx(score)) for k, score, _ in row.predictions] == [(14, 0.72), (2, 0.4)]
    for (_, _, text), cell in zip(row.predictions, predictions[0].cells, strict=True):
        assert decode_mask(text).decode() == cell.counts
    assert len(row_of_prediction(predictions[0]).predictions) == 38


def test_a_submission_reads_back(tmp_path: Path, predictions: list[ImagePrediction]) -> None:
    write("submission", tmp_path, predictions)
    rows = list(read_submission(tmp_path / "submission.csv"))
    assert [(row.image_id, row.width, row.height, len(row.predictions)) for row in rows] == [
        ("a", 90, 60, 2),
        ("b", 90, 60, 0),
        ("c", 90, 60, 2),
    ]


def test_a_submission_keeps_triples_down_to_a_thousandth(tmp_path: Path) -> None:
    cell = a_cell(0, 5, 20, 10, 1.0, 14)
    cell.localization_scores[:3] = 0.0015
    write("submission", tmp_path, [ImagePrediction("a", 90, 60, (cell,))])
    (row,) = read_submission(tmp_path / "submission.csv")
    assert sorted(hpa_index for hpa_index, _, _ in row.predictions) == [0, 1, 2, 14]


def test_coco_results_are_what_pycocotools_reads(
    tmp_path: Path, predictions: list[ImagePrediction]
) -> None:
    from pycocotools.coco import COCO

    write("coco", tmp_path, predictions)
    entries = json.loads((tmp_path / "cells.json").read_text())
    assert [(one["hpa_id"], one["image_id"], one["category_id"]) for one in entries] == [
        ("a", 1, 15),
        ("a", 1, 3),
        ("c", 3, 1),
        ("c", 3, 19),
    ]
    assert [entry["cell_id"] for entry in entries] == [None, None, 7, 70_000]
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": number, "width": 90, "height": 60} for number in (1, 2, 3)],
        "categories": [{"id": number + 1, "name": name} for number, name in enumerate(NAMES)],
        "annotations": [],
    }
    truth.createIndex()
    results = truth.loadRes(str(tmp_path / "cells.json"))
    assert [results.anns[1]["bbox"], results.anns[1]["area"]] == [[0, 5, 20, 10], 200]


def test_no_cells_anywhere_is_an_empty_list(tmp_path: Path) -> None:
    write("coco", tmp_path, [ImagePrediction("b", 90, 60)])
    assert json.loads((tmp_path / "cells.json").read_text()) == []
    write("table", tmp_path, [])
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == 1


def test_the_table_is_alike_in_csv_and_parquet(
    tmp_path: Path, predictions: list[ImagePrediction]
) -> None:
    import pyarrow.parquet as pq

    write("table", tmp_path, predictions, CallRules((*[0.5] * 18, 0.9)))
    with (tmp_path / "cells.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    table = pq.read_table(tmp_path / "cells.parquet").to_pylist()
    assert [row["called"] for row in rows] == ["Mitochondria", "Nucleoli", "Nucleoplasm", ""]
    assert [row["cell_id"] for row in rows] == ["1", "2", "7", "70000"]
    assert [row["touches_border"] for row in rows] == ["true", "false", "false", "false"]
    for text, row in zip(rows, table, strict=True):
        assert list(row) == list(TABLE_COLUMNS)
        assert float(text["centroid_x"]) == pytest.approx(row["centroid_x"])
        assert float(text["p_mitochondria"]) == pytest.approx(row["p_mitochondria"])
        assert text["image_id"] == row["image_id"]
    first = table[0]
    assert (first["bbox_x"], first["bbox_y"], first["bbox_width"], first["bbox_height"]) == (
        0,
        5,
        20,
        10,
    )
    assert (first["area"], first["centroid_x"], first["centroid_y"]) == (200, 9.5, 9.5)


def test_labels_show_the_surer_cell_on_top(
    tmp_path: Path, predictions: list[ImagePrediction]
) -> None:
    write("labels", tmp_path, predictions)
    labels = tifffile.imread(tmp_path / "labels/a.tif")
    assert labels.dtype == np.uint16
    assert (labels == 1).sum() == 200
    assert (labels == 2).sum() == 200 - 10 * 7
    read = tifffile.imread(tmp_path / "labels/c.tif")
    assert read.dtype == np.uint32
    assert np.unique(read).tolist() == [0, 7, 70_000]
    assert tifffile.imread(tmp_path / "labels/b.tif").max() == 0


def test_weak_cells_and_doubles_are_not_called() -> None:
    cells = (
        a_cell(10, 10, 20, 20, 0.9, 0),
        a_cell(12, 12, 20, 20, 0.8, 0),  # 324 of its 400 pixels are the first one's
        a_cell(24, 10, 20, 20, 0.7, 0),  # 120 of 400 are
        a_cell(14, 14, 4, 4, 0.6, 0),  # within the first
        a_cell(60, 30, 9, 9, 0.4, 0),
    )
    image = ImagePrediction("a", 90, 60, cells)
    assert [number for number, _ in CallRules().cells(image)] == [1, 3]
    assert [number for number, _ in CallRules(cell_score=0.3).cells(image)] == [1, 3, 5]
    given = ImagePrediction(
        "b", 90, 60, (a_cell(10, 10, 9, 9, 0.1, 0, 7), a_cell(10, 10, 9, 9, 0.1, 0, 9))
    )
    assert [number for number, _ in CallRules().cells(given)] == [7, 9]


def test_overlays_draw_every_cell(predictions: list[ImagePrediction]) -> None:
    image, _ = cell_image(0, SHAPE_HW)
    overlays = OverlaysOutput(context(Path()))
    plain = overlays.draw(predictions[1], image)
    drawn = overlays.draw(predictions[0], image.astype(np.uint16) * 257)
    assert plain.shape == drawn.shape == (*SHAPE_HW, 3)
    changed = (plain != drawn).any(axis=2)
    assert changed[5, 0:20].all()
    assert not changed[50:, 60:].any()


def test_the_gallery_shows_the_best_cells_of_each_class(
    tmp_path: Path, predictions: list[ImagePrediction]
) -> None:
    from PIL import Image

    image, _ = cell_image(0, SHAPE_HW)
    files = {}
    for number, channel in enumerate(CHANNELS):
        files[channel] = f"a_{channel}.png"
        Image.fromarray(image[..., number]).save(tmp_path / files[channel])
    stored = [StoredImage(one, files if one.image_id == "a" else {}) for one in predictions]
    gallery = GalleryOutput(context(tmp_path / "out", images=tmp_path))
    gallery.per_class = 2
    gallery.finish(lambda: iter(stored))
    text = (tmp_path / "out/gallery.html").read_text()
    assert "4 cells of 3 images" in text
    assert "0.72  a, cell 1" in text
    # the files of c are gone: its cells are counted, and their pictures left out
    assert "c, cell" not in text
    assert text.count("data:image") == 2
    assert '<td class="number">1</td>' in text


def test_anndata_reads_back(tmp_path: Path, predictions: list[ImagePrediction]) -> None:
    anndata = pytest.importorskip("anndata", reason="the extra `anndata` is not installed")
    write("anndata", tmp_path, predictions)
    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert read.shape == (4, 19)
    assert list(read.var_names) == list(NAMES)
    assert list(read.obs_names) == ["a_1", "a_2", "c_7", "c_70000"]
    assert read.X[0, 14] == np.float32(0.8)
    assert read.obs["called"].tolist() == ["Mitochondria", "Nucleoli", "Nucleoplasm", "Negative"]
    assert read.obsm["spatial"][0].tolist() == [9.5, 9.5]


def test_anndata_without_a_called_cell_has_no_rows(
    tmp_path: Path, predictions: list[ImagePrediction]
) -> None:
    anndata = pytest.importorskip("anndata", reason="the extra `anndata` is not installed")
    notes = write("anndata", tmp_path, predictions[1:2])
    assert notes == ["no cell is called: cells.h5ad has no rows"]
    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert read.shape == (0, 19)
    assert read.obsm["spatial"].shape == (0, 2)


def test_anndata_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(
        InputError, match="--write anndata or embeddings: the package anndata is not installed"
    ):
        AnnDataOutput.check()


def test_a_row_comes_back_as_cells(predictions: list[ImagePrediction]) -> None:
    row = row_of_prediction(predictions[0], min_confidence=0.01)
    back = prediction_of_row(row)
    assert back.shape_hw == SHAPE_HW
    for cell, original in zip(back.cells, predictions[0].cells, strict=True):
        assert (cell.counts, cell.area) == (original.counts, original.area)
        assert cell.bbox_xywh == original.bbox_xywh
    # one class each, so p(cell) is its confidence
    assert back.cell_scores.tolist() == pytest.approx([0.72, 0.4])
    assert back.class_scores[0, 14] == pytest.approx(0.72)
    assert [number for number, _ in CallRules().cells(back)] == [1]
