"""Each output, read back by others: pycocotools, pyarrow, tifffile, anndata."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cell_images import cell_image

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.assemble import as_cell
from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.merge import FoundCell
from hpa_mmdet.inference.outputs.annotated import write_anndata
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.inference.outputs.coco import write_coco_results
from hpa_mmdet.inference.outputs.gallery import write_gallery
from hpa_mmdet.inference.outputs.labels import draw_labels, write_labels
from hpa_mmdet.inference.outputs.pictures import draw_prediction
from hpa_mmdet.inference.outputs.submission import submission_row, write_predictions
from hpa_mmdet.inference.outputs.table import COLUMNS, write_table
from hpa_mmdet.inference.store import StoredImage
from hpa_mmdet.io.submission import decode_mask, read_submission
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.masks.runs import runs_of_crop

SHAPE_HW = (60, 90)
CHANNELS = ("red", "green", "blue", "yellow")


def a_cell(x: int, y: int, width: int, height: int, score: float, hpa_index: int, cell_id=None):
    runs = runs_of_crop(np.ones((height, width), bool), x, y, SHAPE_HW)
    scores = np.full(19, 0.005, np.float32)
    scores[hpa_index] = 0.8
    return as_cell(FoundCell(runs, score, scores), cell_id)


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
    row = submission_row(predictions[0], min_confidence=0.01)
    assert [(k, pytest.approx(score)) for k, score, _ in row.predictions] == [(14, 0.72), (2, 0.4)]
    for (_, _, text), cell in zip(row.predictions, predictions[0].cells, strict=True):
        assert decode_mask(text).decode() == cell.counts
    assert len(submission_row(predictions[0]).predictions) == 38
    best = submission_row(predictions[0], max_triples=1).predictions
    assert [each[0] for each in best] == [14]


def test_a_submission_reads_back(tmp_path: Path, predictions: list[ImagePrediction]) -> None:
    assert write_predictions(tmp_path / "s.csv", predictions, min_confidence=0.01) == 3
    rows = list(read_submission(tmp_path / "s.csv"))
    assert [(row.image_id, row.width, row.height, len(row.predictions)) for row in rows] == [
        ("a", 90, 60, 2),
        ("b", 90, 60, 0),
        ("c", 90, 60, 2),
    ]


def test_coco_results_are_what_pycocotools_reads(
    tmp_path: Path, predictions: list[ImagePrediction]
) -> None:
    from pycocotools.coco import COCO

    assert write_coco_results(tmp_path / "cells.json", predictions) == 4
    entries = json.loads((tmp_path / "cells.json").read_text())
    assert [(each["hpa_id"], each["image_id"], each["category_id"]) for each in entries] == [
        ("a", 1, 15),
        ("a", 1, 3),
        ("c", 3, 1),
        ("c", 3, 19),
    ]
    assert [each["cell_id"] for each in entries] == [None, None, 7, 70_000]
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
    assert write_coco_results(tmp_path / "cells.json", [ImagePrediction("b", 90, 60)]) == 0
    assert json.loads((tmp_path / "cells.json").read_text()) == []
    assert write_table(tmp_path, [], Calls()) == 0
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == 1


def test_the_table_is_alike_in_csv_and_parquet(
    tmp_path: Path, predictions: list[ImagePrediction]
) -> None:
    import pyarrow.parquet as pq

    calls = Calls((*[0.5] * 18, 0.9))
    assert write_table(tmp_path, predictions, calls) == 4
    with (tmp_path / "cells.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    table = pq.read_table(tmp_path / "cells.parquet").to_pylist()
    assert [each["called"] for each in rows] == ["Mitochondria", "Nucleoli", "Nucleoplasm", ""]
    assert [each["cell_id"] for each in rows] == ["1", "2", "7", "70000"]
    assert [each["touches_border"] for each in rows] == ["true", "false", "false", "false"]
    for text, row in zip(rows, table, strict=True):
        assert list(row) == list(COLUMNS)
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
    labels = draw_labels(predictions[0], Calls())
    assert labels.dtype == np.uint16
    assert (labels == 1).sum() == 200
    assert (labels == 2).sum() == 200 - 10 * 7
    write_labels(tmp_path / "c.tif", predictions[2], Calls())
    read = tifffile.imread(tmp_path / "c.tif")
    assert read.dtype == np.uint32
    assert np.unique(read).tolist() == [0, 7, 70_000]
    assert draw_labels(predictions[1], Calls()).max() == 0


def test_weak_cells_and_doubles_are_not_called() -> None:
    cells = (
        a_cell(10, 10, 20, 20, 0.9, 0),
        a_cell(12, 12, 20, 20, 0.8, 0),  # 324 of its 400 pixels are the first one's
        a_cell(24, 10, 20, 20, 0.7, 0),  # 120 of 400 are
        a_cell(14, 14, 4, 4, 0.6, 0),  # within the first
        a_cell(60, 30, 9, 9, 0.4, 0),
    )
    image = ImagePrediction("a", 90, 60, cells)
    assert [number for number, _ in Calls().cells(image)] == [1, 3]
    assert [number for number, _ in Calls(cell_score=0.3).cells(image)] == [1, 3, 5]
    given = ImagePrediction(
        "b", 90, 60, (a_cell(10, 10, 9, 9, 0.1, 0, 7), a_cell(10, 10, 9, 9, 0.1, 0, 9))
    )
    assert [number for number, _ in Calls().cells(given)] == [7, 9]


def test_overlays_draw_every_cell(predictions: list[ImagePrediction]) -> None:
    image, _ = cell_image(0, SHAPE_HW)
    plain = draw_prediction(image, CHANNELS, predictions[1], Calls())
    drawn = draw_prediction(image.astype(np.uint16) * 257, CHANNELS, predictions[0], Calls())
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
    stored = [StoredImage(each, files if each.image_id == "a" else {}) for each in predictions]
    write_gallery(tmp_path / "g.html", stored, tmp_path, CHANNELS, Calls(), per_class=2)
    text = (tmp_path / "g.html").read_text()
    assert "4 cells of 3 images" in text
    assert "0.72  a, cell 1" in text
    # the files of c are gone: its cells are counted, and their pictures left out
    assert "c, cell" not in text
    assert text.count("data:image") == 2
    assert '<td class="number">1</td>' in text


def test_anndata_reads_back(tmp_path: Path, predictions: list[ImagePrediction]) -> None:
    anndata = pytest.importorskip("anndata", reason="the extra `anndata` is not installed")
    assert write_anndata(tmp_path / "cells.h5ad", predictions, Calls()) == 4
    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert read.shape == (4, 19)
    assert list(read.var_names) == list(NAMES)
    assert list(read.obs_names) == ["a_1", "a_2", "c_7", "c_70000"]
    assert read.X[0, 14] == np.float32(0.8)
    assert read.obs["called"].tolist() == ["Mitochondria", "Nucleoli", "Nucleoplasm", "Negative"]
    assert read.obsm["spatial"][0].tolist() == [9.5, 9.5]
    with pytest.raises(InputError, match="found no cells, expected at least one for AnnData"):
        write_anndata(tmp_path / "none.h5ad", predictions[1:2], Calls())


def test_anndata_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from hpa_mmdet.inference.outputs.annotated import require_anndata

    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(InputError, match="--write anndata: found no package anndata"):
        require_anndata()
