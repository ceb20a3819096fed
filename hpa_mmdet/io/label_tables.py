"""The CSV tables that name localizations, of whole images and of single cells."""

import csv
from collections.abc import Iterator
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import localization_at


def read_image_labels(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the image labels of a table with columns ID,Label (or Id,Target).

    Returns:
        For each image id, in the table's order, its rising hpa_index values.

    Raises:
        InputError: a column is missing, an id stands twice, or a label is not an index of
            the 19 classes.
    """
    table: dict[str, tuple[int, ...]] = {}
    for where, row in _rows(path, ("ID", "Id"), ("Label", "Target")):
        image_id, text = row
        if image_id in table:
            raise InputError(where, f"{image_id} again", "one row per image", "merge the rows")
        table[image_id] = parse_label_set(text, where)
    return table


def read_cell_labels(path: Path) -> dict[str, dict[int, tuple[int, ...]]]:
    """Read true sets of single cells from a table with columns ID,cell_id,cell_labels.

    Returns:
        For each image id, the rising hpa_index values of each `cell_id` (the value in the
        label image).

    Raises:
        InputError: a column is missing, a cell stands twice, or a label is unknown.
    """
    table: dict[str, dict[int, tuple[int, ...]]] = {}
    for where, row in _rows(path, ("ID",), ("cell_id",), ("cell_labels",)):
        image_id, cell_text, text = row
        if not cell_text.isdecimal() or int(cell_text) < 1:
            raise InputError(where, f"cell_id {cell_text!r}", "a whole number > 0", "correct it")
        cells = table.setdefault(image_id, {})
        if int(cell_text) in cells:
            raise InputError(
                where, f"cell {cell_text} of {image_id} again", "one row per cell", "merge the rows"
            )
        cells[int(cell_text)] = parse_label_set(text, where)
    return table


def parse_label_set(text: str, where: object = "labels") -> tuple[int, ...]:
    """Parse indices parted by bars or spaces.

    Raises:
        InputError: the text is empty or holds something that is not an index 0..18.

    Examples:
        >>> parse_label_set("8|5|0")
        (0, 5, 8)
    """
    words = text.replace("|", " ").split()
    if not words:
        raise InputError(where, "no label", "at least one index", "give 18 (Negative) or drop it")
    for word in words:
        if not word.isdecimal():
            raise InputError(where, f"label {word!r}", "indices parted by |", "correct the row")
    return tuple(sorted({localization_at(int(word), where).hpa_index for word in words}))


def _rows(path: Path, *columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    try:
        handle = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise InputError(path, str(error), "a CSV table", "check the path") from error
    with handle:
        reader = csv.DictReader(handle)
        fields = reader.fieldnames or []
        names = [next((name for name in choice if name in fields), None) for choice in columns]
        if None in names:
            wanted = ",".join(choice[0] for choice in columns)
            raise InputError(path, f"columns {','.join(fields)}", wanted, "rename the columns")
        for row in reader:
            yield (
                f"{path}, row {reader.line_num}",
                [(row[name] or "").strip() for name in names if name is not None],
            )
