"""The CSV tables that name localizations, of whole images and of single cells.

A row that cannot be used is kept as a problem of its image, so that one bad row does not
stop a run.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.naming import check_image_id
from hpa_mmdet.localizations import NAMES, localization_labelled

LabelSet = tuple[int, ...]
ID_COLUMNS = ("ID", "Id", "id", "image_id", "Image")
LABEL_COLUMNS = ("Label", "Target", "Labels", "labels", "label")
INDEX_COLUMNS = ("Label_idx", *LABEL_COLUMNS)  # public tables hold names and numbers


class Columns(NamedTuple):
    """Where a table has its ids and labels; None takes the usual names."""

    image_id: str | None = None
    labels: str | None = None


class ImageTable(NamedTuple):
    """Label sets by image id, the problem of each unusable row by id, doubtful labels."""

    sets: dict[str, LabelSet]
    problems: dict[str, InputError]
    doubts: Counter[str]


class CellTable(NamedTuple):
    """Label sets by image id and cell id; else as `ImageTable`."""

    sets: dict[str, dict[int, LabelSet]]
    problems: dict[str, InputError]
    doubts: Counter[str]


def read_image_labels(path: Path, scheme: str = "hpa19") -> dict[str, LabelSet]:
    """Read the image labels of a table with columns ID,Label (or Id,Target).

    Returns:
        For each image id, in the table's order, its rising hpa_index values.

    Raises:
        InputError: a column is missing, an id stands twice or would lead out of a folder,
            or a label is unknown.
    """
    table = scan_image_labels(path, scheme)
    for problem in table.problems.values():
        raise problem
    return table.sets


def scan_image_labels(
    path: Path,
    scheme: str = "hpa19",
    columns: Columns = Columns(),  # noqa: B008 (immutable)
) -> ImageTable:
    """Read image labels, keeping unusable rows as problems.

    Args:
        path: CSV or TSV.
        scheme: what its labels are, as `localization_labelled` takes it.
        columns: where ids and labels stand, if not under a usual name.

    Raises:
        InputError: the table cannot be read or lacks a column.
    """
    table = ImageTable({}, {}, Counter())
    usual = LABEL_COLUMNS if scheme == "names" else INDEX_COLUMNS
    names = (_choice(columns.image_id, ID_COLUMNS), _choice(columns.labels, usual))
    first_seen: dict[str, str] = {}
    for where, (id_text, text) in read_rows(path, *names):
        image_id = id_text
        try:
            image_id = check_image_id(id_text, where)
            if image_id in first_seen:
                raise InputError(
                    where,
                    f"{image_id} again (first in {first_seen[image_id]})",
                    "one row per image",
                    "merge the rows",
                )
            first_seen[image_id] = where.rsplit(", ", 1)[-1]
            table.sets[image_id] = parse_label_set(text, where, scheme, table.doubts)
        except InputError as problem:
            table.sets.pop(image_id, None)
            table.problems[image_id] = problem
    return table


def read_cell_labels(path: Path, scheme: str = "hpa19") -> dict[str, dict[int, LabelSet]]:
    """Read true sets of single cells from a table with columns ID,cell_id,cell_labels.

    Returns:
        For each image id, the rising hpa_index values of each `cell_id` (the value in the
        label image).

    Raises:
        InputError: a column is missing, a cell stands twice, or a label is unknown.
    """
    table = scan_cell_labels(path, scheme)
    for problem in table.problems.values():
        raise problem
    return table.sets


def scan_cell_labels(path: Path, scheme: str = "hpa19") -> CellTable:
    """Read cell labels, keeping the images of unusable rows as problems.

    A table of the review page may say several things of a cell; what its reviewers agree on
    counts, and `doubts` says how many cells were left out.

    Raises:
        InputError: the table cannot be read or lacks a column.
    """
    table = CellTable({}, {}, Counter())
    if _has_reviewers(path):
        from hpa_mmdet.io.decisions import settled_cells  # it is built on this module

        settled_cells(path, table.sets, table.doubts)
        return table
    for where, (id_text, cell_text, text) in read_rows(
        path, ID_COLUMNS, ("cell_id",), ("cell_labels",)
    ):
        image_id = id_text
        try:
            image_id = check_image_id(id_text, where)
            if not (cell_text.isascii() and cell_text.isdecimal()) or int(cell_text) < 1:
                raise InputError(
                    where, f"cell_id {cell_text!r}", "a whole number > 0", "correct it"
                )
            cells = table.sets.setdefault(image_id, {})
            if int(cell_text) in cells:
                raise InputError(
                    where,
                    f"cell {cell_text} of {image_id} again",
                    "one row per cell",
                    "merge the rows",
                )
            cells[int(cell_text)] = parse_label_set(text, where, scheme, table.doubts)
        except InputError as problem:
            table.problems.setdefault(image_id, problem)
    return table


def parse_label_set(
    text: str, where: object = "labels", scheme: str = "hpa19", doubts: Counter[str] | None = None
) -> LabelSet:
    """Parse labels parted by bars, semicolons or commas; numbers by spaces too.

    Args:
        text: such as `8|5|0` or `Nucleoplasm,Golgi apparatus`.
        where: what an error names.
        scheme: what the labels are, as `localization_labelled` takes it.
        doubts: counts labels whose class may be doubted, as a sentence each.

    Returns:
        Rising hpa_index values, each once.

    Raises:
        InputError: the text is empty or holds an unknown label.

    Examples:
        >>> parse_label_set("8|5|0")
        (0, 5, 8)
        >>> parse_label_set("23 8", scheme="hpa28")
        (14, 17)
    """
    parts = re.split(r"[|;,]" if scheme == "names" else r"[|;,\s]", text)
    words = [word.strip() for word in parts if word.strip()]
    if not words:
        raise InputError(where, "no label", "at least one", "give 18 (Negative) or drop the row")
    indices = set()
    for word in words:
        found = localization_labelled(word, scheme, where)
        indices.add(found.hpa_index)
        if found.doubt and doubts is not None:
            doubts[f"label {word} counted as {NAMES[found.hpa_index]}: {found.doubt}"] += 1
    return tuple(sorted(indices))


def read_column(path: Path, column: str, image_id: str | None = None) -> dict[str, str]:
    """Read another column, such as the antibody or plate of each image.

    Raises:
        InputError: the table cannot be read or lacks a column.
    """
    rows = read_rows(path, _choice(image_id, ID_COLUMNS), (column,))
    return {check_image_id(id_text, where): text for where, (id_text, text) in rows}


def read_rows(path: Path, *columns: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Give each row's place and the texts of some columns, each the first name present.

    The separator is the comma, tab or semicolon that parts the header.

    Raises:
        InputError: the table cannot be read or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            header = handle.readline()
            handle.seek(0)
            separator = max(",\t;", key=header.count)
            reader = csv.DictReader(handle, delimiter=separator)
            fields = reader.fieldnames or []
            names = [next((name for name in choice if name in fields), "") for choice in columns]
            if "" in names:
                wanted = ",".join(" or ".join(choice[:2]) for choice in columns)
                found = f"columns {','.join(fields)}" if fields else "an empty file"
                raise InputError(path, found, wanted, "rename the columns")
            for row in reader:
                yield (
                    f"{path}, row {reader.line_num}",
                    [(row[name] or "").strip() for name in names],
                )
    except FileNotFoundError as error:
        raise InputError(path, "no file", "a CSV table", "check the path") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(path, reason, "a CSV table that can be read", "check the path") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(path, str(error), "a CSV table in UTF-8", "export it again") from error


def _has_reviewers(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as handle:
            return handle.readline().strip().split(",")[-2:] == ["reviewer", "time"]
    except (OSError, UnicodeDecodeError):
        return False  # read_rows says what is wrong with it


def _choice(name: str | None, usual: Sequence[str]) -> Sequence[str]:
    return usual if name is None else (name,)
