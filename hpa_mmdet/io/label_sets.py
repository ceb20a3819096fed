"""Label sets as texts of tables, and the ids of cells beside them."""

import re
from collections import Counter

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NAMES, localization_labelled

LabelSet = tuple[int, ...]
LARGEST_CELL_ID = 2**32 - 1
"""Of a label image of 32 bits."""
_LONGEST_LABEL = 200


def parse_label_set(
    text: str, where: object = "labels", scheme: str = "hpa19", doubts: Counter[str] | None = None
) -> LabelSet:
    """Parse labels separated by bars, semicolons or commas; numbers by spaces too.

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
    words = label_words(text, scheme)
    if not words:
        raise InputError(where, "no label", "at least one", "give 18 (Negative) or drop the row")
    indices = set()
    for word in words:
        if len(word) > _LONGEST_LABEL:
            raise InputError(
                where, f"a label of {len(word)} characters", "a class", "correct the row"
            )
        found = localization_labelled(word, scheme, where)
        indices.add(found.hpa_index)
        if found.doubt and doubts is not None:
            doubts[f"label {word} counted as {NAMES[found.hpa_index]}: {found.doubt}"] += 1
    return tuple(sorted(indices))


def label_words(text: str, scheme: str) -> list[str]:
    """Split a text into its labels, as `parse_label_set` reads them."""
    parts = re.split(r"[|;,]" if scheme == "names" else r"[|;,\s]", text)
    return [word.strip() for word in parts if word.strip()]


def is_cell_id(text: str) -> bool:
    """Whether a text is a whole number from 1 to `LARGEST_CELL_ID`.

    Examples:
        >>> is_cell_id("12"), is_cell_id("0"), is_cell_id("1e3")
        (True, False, False)
    """
    is_number = text.isascii() and text.isdecimal() and len(text) <= 10
    return is_number and 1 <= int(text) <= LARGEST_CELL_ID
