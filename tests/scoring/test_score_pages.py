"""Scores as tables of the terminal and as a page: every figure is there, under its name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contest_by_hand import DrawnImage, box
from matplotlib.figure import Figure
from truth_files import coco

from hpa_mmdet.io.submission import read_submission, write_submission
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.scoring import page, tables
from hpa_mmdet.scoring.files import ScoringOptions, score_rows
from hpa_mmdet.scoring.marks import compute_marks
from hpa_mmdet.scoring.references import contest_references
from hpa_mmdet.scoring.report import full_report
from hpa_mmdet.scoring.truth import read_truth


def test_every_column_of_the_terminals_tables_has_its_name_and_values(
    files: tuple[Path, Path],
) -> None:
    truth = read_truth(files[1])
    scores = score_rows(read_submission(files[0]), truth, ScoringOptions(resamples=0))
    report = full_report(scores, marks=compute_marks(truth.values(), tie_orders=3))
    references = ["1st place", "best of 50", "median of 50"]
    for table, names, rows in (
        (tables.contest_table(report), ["class", "AP", "truths", "detections", *references], 19),
        (tables.detection_table(report), ["mask IoU", "AP", "recall", "precision"], 3),
        (tables.marks_table(report), ["guess", "contest metric"], 5),
    ):
        assert [column.header for column in table.columns] == names
        assert [len(list(column.cells)) for column in table.columns] == [rows] * len(names)
        assert [column.justify for column in table.columns] == [
            "left",
            *["right"] * (len(names) - 1),
        ]
        assert all(column.no_wrap for column in table.columns)
    shown = [list(column.cells) for column in tables.contest_table(report).columns]
    row = report["per_class"][2]
    assert shown[0][2] == " 2 Nucleoli"
    assert [column[2] for column in shown[1:4]] == [
        f"{row['ap']:.4f}", str(row["truths"]), str(row["detections"])
    ]  # fmt: skip
    unknown = next(k for k in range(19) if report["per_class"][k]["ap"] is None)
    assert shown[1][unknown] == "-"
    assert list(tables.marks_table(report).columns[1].cells)[-2:] == [
        "1.0000", f"{report['contest_map']:.4f}"
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "listed"), [(5, "a, b, c, d, e"), (6, "a, b, c, d, e, ...")])
def test_the_first_images_of_one_file_only_are_listed(count: int, listed: str) -> None:
    images = {"missing_in_submission": list("abcdef")[:count], "unknown_in_submission": []}
    ties = {"orders": 0, "tied_share": 0.0}
    (line,) = tables.contest_lines({"ties": ties, "images": images})
    assert (
        line == f"{count} images of the truth have no row in the submission (not found): {listed}"
    )


def test_an_unknown_figure_is_a_dash() -> None:
    assert (tables.show(None), tables.show(0.12345)) == ("-", "0.123")
    assert (tables.show_range([None, None]), tables.show_range([0.1, 0.25])) == (
        "", "[0.100, 0.250]"
    )  # fmt: skip


def report_of(submission: Path, truth: Path) -> dict[str, Any]:
    of_images = read_truth(truth)
    scores = score_rows(read_submission(submission), of_images, ScoringOptions(resamples=5))
    return full_report(scores, marks=compute_marks(of_images.values(), tie_orders=3))


def test_the_page_has_every_figure_of_the_report(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = report_of(*files)
    report["images"] = {"missing_in_submission": ["a"], "unknown_in_submission": ["b"]}
    drawn: list[tuple[Any, ...]] = []
    for name in ("plot_bars", "plot_curves", "plot_matrix"):
        monkeypatch.setattr(page, name, lambda *args, **_: drawn.append(args) or Figure())
    blocks = page.build_page(report, "Scores")._blocks
    names = [row["name"] for row in report["per_class"]]
    short = [localization.short_name for localization in LOCALIZATIONS]

    bars, marks, curves, *matrices = drawn
    known = [k for k, row in enumerate(report["per_class"]) if row["ap"] is not None]
    assert 1 < len(known) < 19
    assert bars == ([short[k] for k in known], [report["per_class"][k]["ap"] for k in known])
    values = [mark["contest_map"] for mark in report["marks"].values()]
    assert marks == ([*tables.MARK_NAMES.values(), "this submission"],
                     [*values, report["contest_map"]])  # fmt: skip
    assert curves[0]["perfect"] == ([0.0, 1.0], [0.0, 1.0])
    shown = [k for k, row in enumerate(report["cells"]["per_class"]) if row["cells"]]
    assert len(matrices) == 2
    for (labels, matrix), key in zip(matrices, ("confusion", "cooccurrence"), strict=True):
        assert labels == [short[k] for k in shown]
        whole = np.nan_to_num(np.array(report["cells"][key], float))
        assert np.array_equal(matrix, whole[np.ix_(shown, shown)])

    contest, detection, cells, image_labels = [
        block for block in blocks if block["kind"] == "table"
    ]
    for table, columns in ((contest, 7), (cells, 5), (image_labels, 3)):
        assert [row[0][0] for row in table["rows"]] == names
        assert {len(row) for row in table["rows"]} == {columns}
    for row, figures in zip(contest["rows"], contest_references(), strict=True):
        assert [text for text, _ in row[4:]] == [f"{figure:.3f}" for figure in figures]
    assert [row[0][0] for row in detection["rows"]] == ["0.5", "0.6", "0.75"]
    assert {len(row) for row in detection["rows"]} == {4}
    notes = [block["text"] for block in blocks if block["kind"] == "note"]
    assert notes == tables.contest_lines(report)
    assert len(notes) >= 2


def test_the_page_of_a_truth_without_cells_says_so_with_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = DrawnImage("1", [], [(4, 0.5, box(0, 0, 5, 5))])
    write_submission(tmp_path / "s.csv", [empty.row()])
    (tmp_path / "t.json").write_text(json.dumps(coco([empty])))
    drawn: list[tuple[Any, ...]] = []
    monkeypatch.setattr(page, "plot_bars", lambda *args, **_: drawn.append(args) or Figure())
    page.build_page(report_of(tmp_path / "s.csv", tmp_path / "t.json"), "Scores").render()
    assert drawn[0] == ([], [])
    assert drawn[1][1] == [0.0] * 5


def test_a_page_without_marks_has_none(files: tuple[Path, Path]) -> None:
    report = {key: value for key, value in report_of(*files).items() if key != "marks"}
    headings = [
        b["text"] for b in page.build_page(report, "Scores")._blocks if b["kind"] == "heading"
    ]
    assert len(headings) == 4
    assert "Marks on the same images" not in headings
