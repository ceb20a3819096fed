"""Conversion with a table that knows some cells: what is reviewed, what inherits, who says so."""

import json
from pathlib import Path

import pytest
from make_dataset import Dataset, make_dataset, options, write_csv

from hpa_mmdet.cli.browse import main as browse
from hpa_mmdet.cli.stats import main as stats
from hpa_mmdet.cli.validate_coco import main as validate_coco
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.merge import merge
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.coco.split import split
from hpa_mmdet.coco.validate import validate
from hpa_mmdet.io.decisions import DECISION_COLUMNS

CELL_COLUMNS = ("ID", "cell_id", "cell_labels")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three images of the cells 1, 3 and 5, of which the table knows two."""
    made = make_dataset(tmp_path / "data")
    write_csv(made.cell_labels, CELL_COLUMNS, [("a", 3, "18"), ("b", 5, "1")])
    return made


@pytest.fixture
def reviewed(dataset: Dataset, tmp_path: Path) -> Path:
    convert(dataset.sources(cell_labels=dataset.cell_labels), tmp_path / "t.json")
    return tmp_path / "t.json"


def marks(path: Path) -> list[tuple[str, int, tuple[int, ...], bool]]:
    return [
        (image.hpa_id, cell.cell_id, cell.hpa_indices, cell.reviewed)
        for image in read_coco(path).images
        for cell in image.cells
    ]


def test_known_cells_have_their_set_and_the_others_their_images(reviewed: Path) -> None:
    assert marks(reviewed) == [
        ("a", 1, (0, 16), False),
        ("a", 3, (18,), True),
        ("a", 5, (0, 16), False),
        ("b", 1, (1, 16), False),
        ("b", 3, (1, 16), False),
        ("b", 5, (1,), True),
        *(("c", cell_id, (2, 16), False) for cell_id in (1, 3, 5)),
    ]
    annotations = json.loads(reviewed.read_text())["annotations"]
    assert ["reviewed" in entry for entry in annotations[:3]] == [False, True, False]


def test_without_a_table_of_cells_nothing_changes(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json")
    assert "reviewed" not in (tmp_path / "t.json").read_text()


def test_where_all_cells_are_known_all_are_reviewed(dataset: Dataset, tmp_path: Path) -> None:
    rows = [(name, cell_id, "16") for name in "abc" for cell_id in (1, 3, 5)]
    write_csv(dataset.cell_labels, CELL_COLUMNS, rows)
    sources = dataset.sources(cell_labels=dataset.cell_labels, nuclei=dataset.nuclei)
    convert(sources, tmp_path / "t.json", options(layout="per-label"))
    for name in ("t.json", "t_nuclei.json"):
        assert [mark[2:] for mark in marks(tmp_path / name)] == [((16,), True)] * 9


def test_the_reviewers_table_is_a_hand_made_one(dataset: Dataset, tmp_path: Path) -> None:
    time = "2026-11-26T14:20:00Z"
    rows = [
        ("a", 1, "7", "anna", time),
        ("a", 1, "16", "anna", time),  # the last word counts
        ("a", 3, "bad_mask", "anna", time),
        ("a", 5, "5", "anna", time),
        ("a", 5, "undone", "anna", time),
    ]
    page = tmp_path / "page.csv"
    write_csv(page, DECISION_COLUMNS, rows)
    by_hand = tmp_path / "hand.csv"
    write_csv(by_hand, CELL_COLUMNS, [("a", 1, "16"), ("a", 3, "bad_mask"), ("a", 5, "undone")])
    for table in (page, by_hand):
        out = tmp_path / f"{table.stem}.json"
        report = convert(dataset.sources(cell_labels=table), out)
        assert report.failures == []
        assert marks(out)[:2] == [("a", 1, (16,), True), ("a", 5, (0, 16), False)]
        dropped = out.with_name(f"{out.stem}_dropped.csv").read_text().splitlines()
        assert dropped[1:] == ["a,3,a reviewer marked its outline as bad,72"]
        assert any("1 x cells left out: their outline" in note for note in report.notes)
    assert (tmp_path / "page.json").read_text() == (tmp_path / "hand.json").read_text()


def test_cells_on_which_reviewers_disagree_inherit(dataset: Dataset, tmp_path: Path) -> None:
    said = [("a", 1, "7", "anna", "t"), ("a", 1, "5", "ben", "t"), ("a", 3, "5", "ben", "t")]
    write_csv(dataset.cell_labels, DECISION_COLUMNS, said)
    report = convert(dataset.sources(cell_labels=dataset.cell_labels), tmp_path / "t.json")
    assert marks(tmp_path / "t.json")[:2] == [("a", 1, (0, 16), False), ("a", 3, (5,), True)]
    assert any("1 x cells without a set: their reviewers disagree" in n for n in report.notes)


def test_every_tool_says_how_many_are_reviewed(
    dataset: Dataset, reviewed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = convert(
        dataset.sources(cell_labels=dataset.cell_labels), tmp_path / "again.json", overwrite=True
    )
    assert "again.json: 3 images, 9 annotations (2 of reviewed cells)" in report.notes
    assert validate_coco([str(reviewed)]) == 0
    assert "9 annotations (2 of reviewed cells), 0 errors" in capsys.readouterr().out
    assert stats([str(reviewed), "--out", str(tmp_path / "stats.html")]) == 0
    numbers = json.loads((tmp_path / "stats.json").read_text())
    assert numbers["cells"]["cells_reviewed"] == 2
    assert "2 cells are reviewed" in (tmp_path / "stats.html").read_text()
    assert browse([str(reviewed), "--out", str(tmp_path / "gallery.html")]) == 0
    assert "3 cells (1 reviewed)" in (tmp_path / "gallery.html").read_text()


def test_split_and_merge_carry_the_marks(reviewed: Path, tmp_path: Path) -> None:
    report = split(reviewed, val_share=0.34)
    parts = [tmp_path / f"t_{part}.json" for part in ("train", "val")]
    counts = [sum(mark[3] for mark in marks(part)) for part in parts]
    assert sum(counts) == 2
    told = f"t_train.json: {counts[0]} annotations of reviewed cells; t_val.json: {counts[1]}"
    assert told in report.notes
    report = merge(parts, tmp_path / "joined.json")
    assert sorted(marks(tmp_path / "joined.json")) == sorted(marks(reviewed))
    assert "joined.json: 3 images, 9 annotations (2 of reviewed cells)" in report.notes


def test_a_mark_that_is_no_truth_value_is_found(reviewed: Path) -> None:
    content = json.loads(reviewed.read_text())
    content["annotations"][1]["reviewed"] = "anna"
    reviewed.write_text(json.dumps(content))
    assert "reviewed is 'anna'" in validate(reviewed, check_files=False).summary()
