"""The scores of a run on its report: the contest metric beside marks, class by class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import read_json_object
from hpa_mmdet.pages.page import Cell, Page
from hpa_mmdet.pages.plots import SERIES_COLOURS, plot_bars
from hpa_mmdet.scoring.tables import MARK_NAMES

Evaluation = dict[str, Any]
_REMEDY = "make it with tools/evaluate.py --json"
_REFERENCES = {"first_place": "contest: 1st", "median_of_50": "contest: median of 50"}


class _Column(NamedTuple):
    name: str
    contest_map: float | None
    ap: list[float | None]


def read_scores(path: Path) -> Evaluation:
    """Read a JSON of tools/evaluate.py.

    Raises:
        InputError: it cannot be read, or has no contest_map and per_class.
    """
    scores = read_json_object(path)
    if "contest_map" not in scores or not scores.get("per_class"):
        raise InputError(path, "no contest_map and per_class", "both", _REMEDY)
    return scores


def add_scores(page: Page, scores: Evaluation, others: Mapping[str, Evaluation]) -> None:
    """Add the contest metric beside marks and other evaluations of the same images.

    Args:
        page: to add to.
        scores: of the run; its own marks (`evaluate --marks`) are shown if it has them.
        others: further evaluations by name.
    """
    columns = [_column("this run", scores), *_marks(scores)]
    columns += [_column(name, evaluation) for name, evaluation in others.items()]
    page.add_figure(
        plot_bars(
            [column.name for column in columns],
            [column.contest_map or 0.0 for column in columns],
            unit="contest metric",
            colours=[SERIES_COLOURS[1], *[SERIES_COLOURS[0]] * (len(columns) - 1)],
        ),
        "Mean over the classes of the average precision at mask IoU "
        f"{scores.get('iou_threshold', 0.6)}, on the same images. The marks use the true masks.",
    )
    _add_found(page, scores)
    columns = [column for column in columns if column.name != MARK_NAMES["truth"]]  # 1 throughout
    shown = {key: title for key, title in _REFERENCES.items() if key in scores["per_class"][0]}
    header = ["class", "cells", *(f"AP, {column.name}" for column in columns), *shown.values()]
    rows: list[list[Cell]] = [
        [
            row["name"],
            row.get("truths"),
            *(column.ap[place] for column in columns),
            *(row[key] for key in shown),
        ]
        for place, row in enumerate(scores["per_class"])
    ]
    means = [sum(row[key] for row in scores["per_class"]) / len(rows) for key in shown]
    rows.append(["mean", None, *(column.contest_map for column in columns), *means])
    page.add_table(header, rows, "Average precision per class; a dash: no such cell in the truth.")
    if shown:
        source = scores.get("reference_source", "another test set than this one")
        page.add_text(f"The contest's figures: {source}.")


def _column(name: str, scores: Evaluation) -> _Column:
    return _Column(name, scores["contest_map"], [row.get("ap") for row in scores["per_class"]])


def _marks(scores: Evaluation) -> list[_Column]:
    marks = scores.get("marks", {})
    return [
        _Column(title, marks[key]["contest_map"], marks[key]["ap"])
        for key, title in MARK_NAMES.items()
        if key in marks
    ]


def _add_found(page: Page, scores: Evaluation) -> None:
    found = scores.get("detection")
    if found is not None:
        aps = ", ".join(f"{value or 0.0:.3f} at IoU {at}" for at, value in found["ap"].items())
        page.add_text(
            f"Cells found, whatever they are called: {found['detections']:,} detected, "
            f"{found['cells']:,} true; average precision {aps}."
        )
