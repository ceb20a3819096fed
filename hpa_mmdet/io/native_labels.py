"""Label tables read in their own classes, before anything is mapped to the 19."""

import re
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_tables import ID_COLUMNS, LABEL_COLUMNS, read_image_labels, read_rows
from hpa_mmdet.localizations import HPA28_NAMES, NAMES

LabelTable = tuple[tuple[str, ...], dict[str, tuple[int, ...]]]


def read_native_labels(path: Path, scheme: str = "hpa19", *, to_19: bool = False) -> LabelTable:
    """Read a label table in the classes it was written in.

    Args:
        path: CSV with columns ID,Label or Id,Target.
        scheme: `hpa19`, `hpa28` or `names`.
        to_19: give the 19 classes that the labels are mapped to instead.

    Returns:
        The K class names, and for each image id its rising indices into them.

    Raises:
        InputError: a column is missing, an id stands twice, or a label is not of the scheme.
    """
    mapped = read_image_labels(path, scheme)  # checks ids and labels, whatever is returned
    if not mapped:
        raise InputError(path, "no rows", "one row per image", "check the table")
    if to_19 or scheme == "hpa19":
        return NAMES, mapped
    separator = r"[|;,]" if scheme == "names" else r"[|;,\s]"
    words = {
        image_id: {word.strip() for word in re.split(separator, text) if word.strip()}
        for _, (image_id, text) in read_rows(path, ID_COLUMNS, LABEL_COLUMNS)
    }
    if scheme == "hpa28":
        return HPA28_NAMES, {
            image_id: tuple(sorted({int(word) for word in each}))
            for image_id, each in words.items()
        }
    names = tuple(sorted(set().union(*words.values())))
    index = {name: place for place, name in enumerate(names)}
    return names, {
        image_id: tuple(sorted(index[word] for word in each)) for image_id, each in words.items()
    }
