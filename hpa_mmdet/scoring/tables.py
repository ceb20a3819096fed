"""Scores as tables for the terminal."""

from typing import Any

from rich.table import Table


def contest_table(report: dict[str, Any]) -> Table:
    """One row per class: ours beside the contest's figures."""
    table = Table(title=f"Contest metric {_show(report['contest_map'])}", title_justify="left")
    for name in ("class", "AP", "truths", "detections", "1st place", "best of 50", "median of 50"):
        table.add_column(name, justify="left" if name == "class" else "right", no_wrap=True)
    for row in report["per_class"]:
        table.add_row(
            f"{row['hpa_index']:2d} {row['name'][:26]}",
            _show(row["ap"]),
            str(row["truths"]),
            str(row["detections"]),
            *(f"{row[key]:.3f}" for key in ("first_place", "best_of_50", "median_of_50")),
        )
    table.caption = f"The contest's figures: {report['reference_source']}."
    return table


def contest_lines(report: dict[str, Any]) -> list[str]:
    """What stands under the table: ties, and images that are in one file only."""
    ties, images = report["ties"], report["images"]
    lines = []
    if ties["orders"]:
        lines.append(
            f"{ties['tied_share']:.1%} of the detections tie with another of their class: file "
            f"order gives {_show(report['contest_map'])}, {ties['orders']} random orders "
            f"{_show(ties['mean'])} on average ({_show(ties['lowest'])} to "
            f"{_show(ties['highest'])})"
        )
    for key, words in (
        ("missing_in_submission", "of the truth have no row in the submission (not found)"),
        ("unknown_in_submission", "of the submission are not in the truth (left out)"),
    ):
        if images[key]:
            first = ", ".join(images[key][:5]) + (", ..." if len(images[key]) > 5 else "")
            lines.append(f"{len(images[key])} images {words}: {first}")
    return lines


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
