"""Annotations as a submission, decoded by nothing of ours."""

import base64
import csv
import json
import zlib
from pathlib import Path

import pytest
from make_dataset import make_dataset, options
from pycocotools import mask as coco_mask

from hpa_mmdet.cli.coco_to_submission import main
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.io.label_images import read_label_image


@pytest.mark.parametrize(("confidence", "scores"), [("one", {1.0}), ("share", {0.5, 1.0})])
@pytest.mark.parametrize("layout", ["per-cell", "per-label"])
def test_every_label_of_every_cell_is_a_prediction(
    tmp_path: Path, confidence: str, scores: set[float], layout: str
) -> None:
    data = make_dataset(tmp_path / "data")
    sources = data.sources(cell_labels=data.cell_labels)
    convert(sources, tmp_path / "t.json", options(layout=layout))
    words = [str(tmp_path / "t.json"), "--out", str(tmp_path / "s.csv")]
    assert main([*words, "--confidence", confidence]) == 0
    with (tmp_path / "s.csv").open(newline="") as handle:
        rows = {row["ID"]: row for row in csv.DictReader(handle)}
    assert list(rows) == ["a", "b", "c"]
    found = set()
    for image_id, row in rows.items():
        assert (row["ImageWidth"], row["ImageHeight"]) == ("40", "23")
        label_image = read_label_image(data.masks / f"{image_id}_mask.png")
        triples = row["PredictionString"].split()
        assert len(triples) == 3 * 4  # three cells, one of them with two labels
        for at in range(0, len(triples), 3):
            counts = zlib.decompress(base64.b64decode(triples[at + 2]))
            mask = coco_mask.decode({"size": [23, 40], "counts": counts}).astype(bool)
            [cell_id] = set(label_image[mask].tolist())
            assert (mask == (label_image == cell_id)).all()
            found.add((image_id, cell_id, int(triples[at])))
            shared = confidence == "share" and cell_id == 3
            assert float(triples[at + 1]) == (0.5 if shared else 1.0)
    assert {("b", 3, 1), ("b", 3, 16), ("b", 1, 16), ("b", 5, 18)} <= found


def test_an_image_without_cells_has_its_row(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", ("a",))
    convert(data.sources(), tmp_path / "t.json", options(min_area_px=1000))
    assert main([str(tmp_path / "t.json"), "--out", str(tmp_path / "s.csv")]) == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 2


def test_the_tool_refuses_what_it_cannot_do(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main([str(tmp_path / "no.json"), "--out", str(tmp_path / "s.csv")]) == 2
    assert not (tmp_path / "s.csv").exists()
    (tmp_path / "s.csv").touch()
    assert main([str(tmp_path / "no.json"), "--out", str(tmp_path / "s.csv")]) == 2
    assert (
        "s.csv: was not written by coco_to_submission, so it is never replaced"
        in capsys.readouterr().err
    )
    (tmp_path / "t.json").write_text(json.dumps({"images": []}))
    assert main([str(tmp_path / "t.json"), "--out", str(tmp_path / "o.csv")]) == 2
    assert "found no list" in capsys.readouterr().err
