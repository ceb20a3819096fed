"""The CSV tables that name localizations, of whole images and of single cells.

A row that cannot be used is kept as a problem of its image, so that one bad row does not
stop a run.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.decisions import BAD_MASK, BAD_MASKS, UNDONE, settled_cells
from hpa_mmdet.io.label_sets import (
    LARGEST_CELL_ID,
    LabelSet,
    is_cell_id,
    label_words,
    parse_label_set,
)
from hpa_mmdet.io.naming import DECOMPOSED, check_image_id, is_composed
from hpa_mmdet.io.table_rows import read_column_names, read_rows
from hpa_mmdet.localizations import HPA28_NAMES, NAMES

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
    """Label sets by image id and cell id; else as `ImageTable`.

    `bad_masks` holds the cells whose outline is none of a cell, by image id. `is_review` says
    that the table was written by reviewers, so that a later row of a cell replaces an earlier one.
    """

    sets: dict[str, dict[int, LabelSet]]
    problems: dict[str, InputError]
    doubts: Counter[str]
    bad_masks: dict[str, set[int]]
    is_review: bool = False


class NativeTable(NamedTuple):
    """The names of K classes, and the rising indices into them of each image id."""

    names: tuple[str, ...]
    sets: dict[str, tuple[int, ...]]


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
    for where, (id_text, text), problem in read_rows(path, *names):
        image_id = id_text or where
        try:
            image_id = _image_id(id_text, where, problem, table.doubts)
            if image_id in first_seen:
                raise InputError(
                    where,
                    f"{image_id} again (first in {first_seen[image_id]})",
                    "one row per image",
                    "merge the rows",
                )
            first_seen[image_id] = where.rsplit(", ", 1)[-1]
            table.sets[image_id] = parse_label_set(text, where, scheme, table.doubts)
        except InputError as error:
            table.sets.pop(image_id, None)
            table.problems[image_id] = error
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

    In a table with the columns `reviewer` and `time`, as the review page writes it, what the
    reviewers of a cell agree on counts, and `doubts` says how many cells were left out. In one
    with either of these columns a later row of a cell replaces the earlier one. In any other
    table a cell that stands twice is a problem of its image. The words `bad_mask` and `undone` may
    stand for the labels in all of them.

    Raises:
        InputError: the table cannot be read or lacks a column.
    """
    by_reviewers = {"reviewer", "time"} & {*read_column_names(path)}
    table = CellTable({}, {}, Counter(), {}, bool(by_reviewers))
    if len(by_reviewers) == 2:
        settled_cells(path, table.sets, table.bad_masks, table.doubts)
        return table
    seen: set[tuple[str, int]] = set()
    wanted = (ID_COLUMNS, ("cell_id",), ("cell_labels",))
    for where, (id_text, cell_text, text), problem in read_rows(path, *wanted):
        image_id = id_text or where
        try:
            image_id = _image_id(id_text, where, problem, table.doubts)
            if not is_cell_id(cell_text):
                raise InputError(
                    where,
                    f"cell_id {cell_text[:40]!r}",
                    f"a whole number > 0 and at most {LARGEST_CELL_ID}",
                    "correct it",
                )
            cell_id = int(cell_text)
            if (image_id, cell_id) in seen and not table.is_review:
                raise InputError(
                    where,
                    f"cell {cell_text} of {image_id} again",
                    "one row per cell",
                    "merge the rows",
                )
            seen.add((image_id, cell_id))
            table.sets.get(image_id, {}).pop(cell_id, None)
            table.bad_masks.get(image_id, set()).discard(cell_id)
            if text.strip() == BAD_MASK:
                table.bad_masks.setdefault(image_id, set()).add(cell_id)
            elif text.strip() != UNDONE:
                labels = parse_label_set(text, where, scheme, table.doubts)
                table.sets.setdefault(image_id, {})[cell_id] = labels
        except InputError as error:
            table.problems.setdefault(image_id, error)
    if bad := sum(map(len, table.bad_masks.values())):
        table.doubts[BAD_MASKS] += bad
    return table


def read_native_labels(path: Path, scheme: str = "hpa19") -> NativeTable:
    """Read a label table in the classes it was written in.

    Args:
        path: CSV with columns ID,Label or Id,Target.
        scheme: `hpa19`, `hpa28` or `names`.

    Returns:
        The K class names, and for each image id its rising indices into them.

    Raises:
        InputError: a column is missing, an id stands twice, or a label is not of the scheme.
    """
    mapped = read_image_labels(path, scheme)  # checks ids and labels, whatever is returned
    if not mapped:
        raise InputError(path, "no rows", "one row per image", "check the table")
    if scheme == "hpa19":
        return NativeTable(NAMES, mapped)
    rows = read_rows(path, ID_COLUMNS, LABEL_COLUMNS if scheme == "names" else INDEX_COLUMNS)
    words = {
        check_image_id(id_text, where): set(label_words(text, scheme))
        for where, (id_text, text), _ in rows
    }
    names = HPA28_NAMES if scheme == "hpa28" else tuple(sorted(set().union(*words.values())))
    index = {str(place) if scheme == "hpa28" else name: place for place, name in enumerate(names)}
    return NativeTable(
        names,
        {
            image_id: tuple(sorted({index[word.lstrip("0") or "0"] for word in of_image}))
            if scheme == "hpa28"
            else tuple(sorted(index[word] for word in of_image))
            for image_id, of_image in words.items()
        },
    )


def read_column(path: Path, column: str, image_id: str | None = None) -> dict[str, str]:
    """Read another column, such as the antibody or plate of each image.

    Raises:
        InputError: the table cannot be read or lacks a column.
    """
    texts: dict[str, str] = {}
    for where, (id_text, text), problem in read_rows(
        path, _choice(image_id, ID_COLUMNS), (column,)
    ):
        texts[_image_id(id_text, where, problem, Counter())] = text
    return texts


def _choice(name: str | None, usual: Sequence[str]) -> Sequence[str]:
    return usual if name is None else (name,)


def _image_id(text: str, where: str, problem: InputError | None, doubts: Counter[str]) -> str:
    image_id = check_image_id(text, where)
    if not is_composed(text):
        doubts[DECOMPOSED] += 1
    if problem is not None:
        raise problem
    return image_id
