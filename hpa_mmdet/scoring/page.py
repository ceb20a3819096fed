"""The scores of a submission as one HTML page."""

from typing import Any

import numpy as np

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.pages import Page
from hpa_mmdet.pages.plots import plot_bars, plot_curves, plot_matrix
from hpa_mmdet.scoring.report import ScoreReport
from hpa_mmdet.scoring.tables import MARK_NAMES, contest_lines, naming_lines

_SHORT = [localization.short_name for localization in LOCALIZATIONS]


def build_page(report: ScoreReport, title: str, subtitle: str = "") -> Page:
    """Put the page together from `full_report`."""
    page = Page(title, subtitle)
    _add_contest(page, report)
    if "marks" in report:
        _add_marks(page, report)
    _add_detection(page, report)
    _add_cells(page, report)
    _add_images(page, report)
    return page


def _add_contest(page: Page, report: ScoreReport) -> None:
    page.add_heading(f"Contest metric {report['contest_map'] or 0.0:.4f}")
    page.add_text(
        "Mean over the classes of the average precision of their detections at mask IoU "
        f"{report['iou_threshold']}. Beside it the contest's figures: "
        f"{report['reference_source']}."
    )
    for line in contest_lines(report):
        page.add_note(line)
    shown = [row for row in report["per_class"] if row["ap"] is not None]
    page.add_figure(
        plot_bars(
            [_SHORT[row["hpa_index"]] for row in shown],
            [row["ap"] for row in shown],
            unit="average precision",
        ),
        "Average precision of the classes that the truth holds.",
    )
    references = ("first_place", "best_of_50", "median_of_50")
    page.add_table(
        ["class", "AP", "truths", "detections", "1st place", "best of 50", "median of 50"],
        [
            [row["name"], row["ap"], row["truths"], row["detections"]]
            + [row[key] for key in references]
            for row in report["per_class"]
        ],
    )


def _add_marks(page: Page, report: ScoreReport) -> None:
    page.add_heading("Marks on the same images")
    names = [*MARK_NAMES.values(), "this submission"]
    values = [report["marks"][name]["contest_map"] or 0.0 for name in MARK_NAMES]
    page.add_figure(
        plot_bars(names, [*values, report["contest_map"] or 0.0], unit="contest metric")
    )
    page.add_text(
        "The marks use the true masks and are means over random orders, since most of their "
        "confidences are equal. A submission has its own masks."
    )


def _add_detection(page: Page, report: ScoreReport) -> None:
    found = report["detection"]
    page.add_heading("Cells found")
    page.add_text(
        f"{found['detections']} cells detected, {found['cells']} true, whatever they are "
        f"called; ranked by {found['ranked_by']}."
    )
    page.add_table(
        ["mask IoU", "AP", "recall", "precision"],
        [[at, *(found[key][at] for key in ("ap", "recall", "precision"))] for at in found["ap"]],
    )


def _add_cells(page: Page, report: ScoreReport) -> None:
    cells = report["cells"]
    page.add_heading("Cells named")
    page.add_text(
        f"{naming_lines(report)[0]}. Ranges: 95 % of resamples of the images. Thresholds "
        "behind F1 are tuned on other images than they are tried on; a cell that no "
        "prediction overlaps has score 0 for every class."
    )
    page.add_table(
        ["class", "cells", "AP", "F1", "threshold"],
        [
            [row[key] for key in ("name", "cells", "ap", "f1", "threshold")]
            for row in cells["per_class"]
        ],
    )
    curve = cells["calibration"]
    if curve["counts"]:
        lines: dict[str, Any] = {
            "observed": (curve["predicted"], curve["observed"]),
            "perfect": ([0.0, 1.0], [0.0, 1.0]),
        }
        page.add_figure(
            plot_curves(lines, x_name="score", y_name="share that is true"),
            f"Calibration of found cells, all classes; error {curve['error'] or 0.0:.3f}.",
        )
    shown = [k for k, row in enumerate(cells["per_class"]) if row["cells"]]
    for key, words in (
        (
            "confusion",
            "Row: cells that show a class. Diagonal: share called it. Elsewhere: of those "
            "without the column's class, the share wrongly called it.",
        ),
        ("cooccurrence", "Row: cells that show a class. Column: share that shows it too."),
    ):
        if shown:
            matrix = np.array(cells[key], dtype=np.float64)[np.ix_(shown, shown)]
            page.add_figure(plot_matrix([_SHORT[k] for k in shown], np.nan_to_num(matrix)), words)


def _add_images(page: Page, report: ScoreReport) -> None:
    images = report["image_level"]
    page.add_heading("Image labels from cells")
    page.add_text(f"{naming_lines(report)[2]}. The cells' scores pooled over each image.")
    page.add_table(
        ["class", "images", "AP"],
        [[row[key] for key in ("name", "images", "ap")] for row in images["per_class"]],
    )
