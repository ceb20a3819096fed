"""What the contest's entries reached, class by class, on the contest's own test set.

contest_reference_ap.csv holds the average precisions published with T. Le et al., "Analysis
of the Human Protein Atlas Weakly Supervised Single-Cell Classification competition", Nature
Methods 19:1221 (2022): the first place, and the best and the median of the 50 leading
entries. They are of the contest's private test set: a score on other images stands beside
them for orientation and cannot be compared with them.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

SOURCE = (
    "Le et al., Nature Methods 19:1221 (2022), on the contest's private test set: "
    "another test set than yours"
)


class Reference(NamedTuple):
    """Average precision of one class: first place, best and median of the 50 leading."""

    first_place: float
    best_of_50: float
    median_of_50: float


@cache
def contest_references() -> tuple[Reference, ...]:
    """Read the published figures, one per class.

    Examples:
        >>> contest_references()[0].first_place
        0.7741
    """
    text = files("hpa_mmdet.scoring").joinpath("contest_reference_ap.csv").read_text("utf-8")
    rows = sorted(csv.DictReader(text.splitlines()), key=lambda row: int(row["hpa_index"]))
    return tuple(Reference(*(float(row[name]) for name in Reference._fields)) for row in rows)
