"""Scores for the terminal: tables, and lines under them."""

from rich.table import Table

from hpa_mmdet.errors import list_some
from hpa_mmdet.scoring.report import ScoreReport

MARK_NAMES = {
    "frequencies": "every cell the same confidences",
    "image_labels_one": "every cell its image's labels, confidence 1",
    "image_labels_share": "every cell its image's labels, 1 / their number",
    "truth": "the truth",
}


def contest_table(report: ScoreReport) -> Table:
    """One row per class: ours beside the contest's figures."""
    title = f"Contest metric {show(report['contest_map'], 4)}"
    table = _table(
        title, "class", "AP", "truths", "detections", "1st place", "best of 50", "median of 50"
    )
    for row in report["per_class"]:
        table.add_row(
            f"{row['hpa_index']:2d} {row['name'][:26]}",
            show(row["ap"], 4),
            str(row["truths"]),
            str(row["detections"]),
            *(show(row[key]) for key in ("first_place", "best_of_50", "median_of_50")),
        )
    table.caption = f"The contest's figures: {report['reference_source']}."
    table.caption_justify = "left"
    return table


def contest_lines(report: ScoreReport) -> list[str]:
    """What stands under the table: ties, and images that are in one file only."""
    ties, images = report["ties"], report["images"]
    lines = []
    if ties["orders"]:
        lines.append(
            f"{ties['tied_share']:.1%} of the detections tie with another of their class: file "
            f"order gives {show(report['contest_map'], 4)}, {ties['orders']} random orders "
            f"{show(ties['mean'], 4)} on average ({show(ties['lowest'], 4)} to "
            f"{show(ties['highest'], 4)})"
        )
    for key, words in (
        ("missing_in_submission", "of the truth have no row in the submission (not found)"),
        ("unknown_in_submission", "of the submission are not in the truth (left out)"),
    ):
        if images[key]:
            lines.append(f"{len(images[key])} images {words}: {list_some(images[key])}")
    return lines


def detection_table(report: ScoreReport) -> Table:
    """Cells found, whatever they are called, at each IoU."""
    found = report["detection"]
    title = f"Cells found: {found['detections']} detected, {found['cells']} true"
    table = _table(title, "mask IoU", "AP", "recall", "precision")
    for at in found["ap"]:
        table.add_row(at, *(show(found[key][at]) for key in ("ap", "recall", "precision")))
    table.caption = f"Class-agnostic; ranked by {found['ranked_by']}."
    table.caption_justify = "left"
    return table


def naming_lines(report: ScoreReport) -> list[str]:
    """How well found cells are named, and image labels from pooled cells."""
    cells, images = report["cells"], report["image_level"]
    return [
        f"Cells named: mAP {show(cells['map'])} {show_range(cells['map_range'])}, macro F1 "
        f"{show(cells['macro_f1'])} {show_range(cells['macro_f1_range'])}; constant scores have "
        f"mAP {show(cells['frequency_map'])}; {show(cells['found_share'])} of the cells found",
        f"Calibration error {show(cells['calibration']['error'])}",
        f"Image labels from cells ({images['pooling']}): mAP {show(images['map'])} "
        f"{show_range(images['map_range'])}",
    ]


def marks_table(report: ScoreReport) -> Table:
    """The score between the three marks."""
    table = _table("Marks, on the true masks (means over random orders)", "guess", "contest metric")
    for name, words in MARK_NAMES.items():
        table.add_row(words, show(report["marks"][name]["contest_map"], 4))
    table.add_row("this submission", show(report["contest_map"], 4))
    return table


def show(value: float | None, digits: int = 3) -> str:
    """Write a figure, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def show_range(low_high: list[float | None]) -> str:
    """Write a range, or nothing where there is none."""
    low, high = low_high
    return "" if low is None else f"[{show(low)}, {show(high)}]"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table
