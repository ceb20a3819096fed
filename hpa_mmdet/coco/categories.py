"""Which class a category of a COCO JSON is."""

from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.coco.fields import HIGHEST_COCO_ID, take_whole
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import as_object, shorten
from hpa_mmdet.localizations import NAMES, NUM_LOCALIZATIONS


def read_categories(categories: Sequence[object], path: Path) -> dict[int, int]:
    """Map category ids to hpa_index, by name, or else by `hpa_index`.

    Raises:
        InputError: a category is none of the 19 localizations, its name and index disagree,
            or two of one id differ.
    """
    index_of: dict[int, int] = {}
    for place, category in enumerate(categories):
        category = as_object(category, f"{path}, category at place {place}")
        where = f"{path}, category {shorten(category.get('id'))}"
        category_id = take_whole(category, "id", where, 0, HIGHEST_COCO_ID)
        name, hpa_index = category.get("name"), category.get("hpa_index")
        if hpa_index is not None:
            hpa_index = take_whole(category, "hpa_index", where, 0, NUM_LOCALIZATIONS - 1)
        if isinstance(name, str) and name in NAMES:
            named = NAMES.index(name)
            if hpa_index not in (None, named):
                raise InputError(
                    where, f"hpa_index {hpa_index}", f"that of {name}, {named}", "correct one"
                )
            hpa_index = named
        if hpa_index is None:
            raise InputError(
                where,
                f"name {shorten(name)}",
                "one of the 19 localizations",
                "map the names, as docs/reference/coco_format.md lists them",
            )
        if index_of.setdefault(category_id, hpa_index) != hpa_index:
            raise InputError(where, "its id twice", "one class for each id", "number them anew")
    return index_of
