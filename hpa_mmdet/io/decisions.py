"""What people said of single cells: the table that the review page appends to.

    ID,cell_id,cell_labels,reviewer,time
    5c27f04c,3,0|5,anna,2026-11-26T14:20:00Z
    5c27f04c,4,bad_mask,anna,2026-11-26T14:20:07Z
    5c27f04c,4,undone,anna,2026-11-26T14:20:09Z

Rows are only ever appended. For each cell the last row of a reviewer counts: a set of
localizations, `bad_mask` where the outline is no cell, or `undone` where the decision was
taken back.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_sets import LabelSet, is_cell_id, parse_label_set
from hpa_mmdet.io.naming import check_image_id

DECISION_COLUMNS = ("ID", "cell_id", "cell_labels", "reviewer", "time")
BAD_MASK, UNDONE = "bad_mask", "undone"
BAD_MASKS = "cells left out: their outline was marked as bad"
CellKey = tuple[str, int]
"""Image id and cell id."""


class Decision(NamedTuple):
    """One row.

    Args:
        image_id: HPA image id.
        cell_id: the value in the label image.
        labels: rising hpa_index values; empty for a bad mask or an undone decision.
        word: "bad_mask", "undone", or "" where `labels` count.
        reviewer: who said it.
        time: when, in UTC, as ISO 8601.
    """

    image_id: str
    cell_id: int
    labels: LabelSet
    word: str
    reviewer: str
    time: str

    @property
    def key(self) -> CellKey:
        """Which cell it is about."""
        return self.image_id, self.cell_id

    def line(self) -> str:
        """The row as text, with its line break."""
        labels = self.word or "|".join(map(str, self.labels))
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(
            [self.image_id, self.cell_id, labels, self.reviewer, self.time]
        )
        return out.getvalue()


def now_text() -> str:
    """The time as rows have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_decisions(lines: Iterable[str], where: object, first_line: int = 2) -> list[Decision]:
    """Read rows, without the header.

    Args:
        lines: text, each with or without its line break.
        where: what an error names.
        first_line: number of the first line, for errors.

    Raises:
        InputError: a row is not of this form.
    """
    decisions = []
    try:
        for number, row in enumerate(csv.reader(lines), start=first_line):
            if row:
                decisions.append(_parse_row(row, f"{where}, row {number}"))
    except csv.Error as error:
        raise InputError(
            where, problem=f"is no CSV table ({error})", remedy="correct or remove the row"
        ) from error
    return decisions


def read_decisions(path: Path) -> list[Decision]:
    """Read the whole table. A last line without its end, as a crash leaves it, is passed over.

    Raises:
        InputError: there is no such table, or a row is damaged.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(path, problem="there is no such file", remedy="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            path, problem=f"cannot be read ({error})", remedy="check the file"
        ) from error
    lines = text[: text.rfind("\n") + 1].splitlines()
    if not lines or tuple(lines[0].split(",")) != DECISION_COLUMNS:
        raise InputError(
            path,
            problem=f"has not the columns {','.join(DECISION_COLUMNS)}",
            remedy="give a table that the review page wrote",
        )
    return parse_decisions(lines[1:], path)


def current_decisions(decisions: Iterable[Decision]) -> dict[CellKey, dict[str, Decision]]:
    """What counts of a table: for each cell the last word of each reviewer.

    Examples:
        >>> a = Decision("i", 3, (0,), "", "anna", "")
        >>> current_decisions([a, a._replace(labels=(5,)), a._replace(reviewer="ben")])["i", 3]["anna"].labels
        (5,)
    """
    current: dict[CellKey, dict[str, Decision]] = {}
    for decision in decisions:
        of_cell = current.setdefault(decision.key, {})
        of_cell.pop(decision.reviewer, None)
        if decision.word != UNDONE:
            of_cell[decision.reviewer] = decision
    return {key: of_cell for key, of_cell in current.items() if of_cell}


def settle_cell(of_cell: Iterable[Decision]) -> LabelSet | str:
    """Agree on one cell: labels that more than half of its reviewers gave.

    Returns:
        Rising hpa_index values; "bad_mask" where more than half say so; "" where nothing
        has a majority.

    Examples:
        >>> said = Decision("i", 3, (0, 5), "", "anna", "")
        >>> settle_cell([said, said._replace(labels=(0,))])
        (0,)
        >>> settle_cell([said, said._replace(labels=(7,))])
        ''
    """
    decisions = list(of_cell)
    half = len(decisions) / 2
    if sum(decision.word == BAD_MASK for decision in decisions) > half:
        return BAD_MASK
    given = [label for decision in decisions for label in decision.labels]
    agreed = tuple(sorted(label for label in set(given) if given.count(label) > half))
    return agreed or ""


def settled_cells(
    path: Path,
    sets: dict[str, dict[int, LabelSet]],
    bad_masks: dict[str, set[int]],
    doubts: Counter[str],
) -> None:
    """Read what the reviewers of a table agree on.

    Args:
        path: the table.
        sets: filled with the localizations of each cell, by image id and cell id.
        bad_masks: filled with the cells whose outline is bad, by image id.
        doubts: counts these, and the cells on which the reviewers disagree.

    Raises:
        InputError: as `read_decisions`.
    """
    for (image_id, cell_id), of_cell in current_decisions(read_decisions(path)).items():
        settled = settle_cell(of_cell.values())
        if settled == BAD_MASK:
            bad_masks.setdefault(image_id, set()).add(cell_id)
            doubts[BAD_MASKS] += 1
        elif isinstance(settled, str):
            doubts["cells without a set: their reviewers disagree"] += 1
        else:
            sets.setdefault(image_id, {})[cell_id] = settled


def _parse_row(row: list[str], where: str) -> Decision:
    if len(row) != len(DECISION_COLUMNS):
        raise InputError(
            where,
            problem=f"has {len(row)} values in place of {len(DECISION_COLUMNS)}",
            remedy="correct or remove the row",
        )
    image_id, cell_text, labels, reviewer, time = (value.strip() for value in row)
    if not is_cell_id(cell_text):
        raise InputError(where, f"cell_id {cell_text[:40]!r}", "a whole number > 0", "correct it")
    word = labels if labels in (BAD_MASK, UNDONE) else ""
    return Decision(
        check_image_id(image_id, where),
        int(cell_text),
        () if word else parse_label_set(labels, where),
        word,
        reviewer,
        time,
    )
