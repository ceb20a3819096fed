"""Checks of the annotations of a COCO JSON, one line at a time.

Masks are checked by their run lengths; no picture is drawn.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hpa_mmdet.coco.findings import Findings
from hpa_mmdet.coco.lines import CocoLines
from hpa_mmdet.coco.schema import Json
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import shorten
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.masks.runs import runs_from_counts

Keys = Mapping[str, type | tuple[type, ...]]

_ANNOTATION_KEYS: Keys = {
    "id": int,
    "image_id": int,
    "category_id": int,
    "category_ids": list,
    "bbox": list,
    "area": (int, float),
    "iscrowd": int,
    "cell_id": int,
    "touches_border": bool,
    "segmentation": dict,
}


class KnownImage(NamedTuple):
    """What annotations are checked against; `labels` are hpa_index values."""

    name: str
    place: int
    size_wh: tuple[int, int]
    labels: frozenset[int]


class _Seen:
    """What has been met, to find doubles."""

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.cells: set[tuple[int, int, Any]] = set()
        self.cell_of_mask: dict[tuple[int, int], int] = {}
        self.images: set[int] = set()
        self.place = -1


def check_annotations(
    lines: CocoLines, images: Mapping[int, KnownImage], categories: set[int], findings: Findings
) -> None:
    """Check every annotation, and that each image has one.

    Args:
        lines: the file.
        images: by their id.
        categories: ids that the file lists.
        findings: filled.
    """
    seen = _Seen()
    for _, annotation in lines.entries("annotations"):
        findings.annotations += 1
        where = f"annotation {shorten(annotation.get('id'))}"
        if not has_keys(annotation, _ANNOTATION_KEYS, where, findings):
            continue
        mark = annotation.get("reviewed", False)
        if not isinstance(mark, bool):
            findings.add("key", f"{where}: reviewed is {shorten(mark)}")
            continue
        findings.reviewed += mark
        if annotation["id"] in seen.ids:
            findings.add("duplicate id", where)
        seen.ids.add(annotation["id"])
        image = images.get(annotation["image_id"])
        if image is None:
            findings.add("orphan annotation", f"{where}: image_id {annotation['image_id']}")
            continue
        where += f", cell {annotation['cell_id']} of {image.name}"
        if image.place < seen.place:
            findings.add("order", where)
        seen.place = image.place
        seen.images.add(annotation["image_id"])
        _check_doubles(annotation, where, seen, findings)
        _check_set(annotation, image, categories, where, findings)
        _check_mask(annotation, image, where, findings)
    for image_id, image in images.items():
        if image_id not in seen.images:
            findings.add("image without cells", image.name)


def has_keys(entry: Json, keys: Keys, where: str, findings: Findings) -> bool:
    """See that an entry has all keys with values of their types."""
    for key, kind in keys.items():
        value = entry.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            findings.add("key", f"{where}: {key} is {shorten(value)}")
            return False
    return True


def is_rising(values: list[Any], lowest: int, highest: int) -> bool:
    """See that values are whole numbers in a range, each once, rising.

    Examples:
        >>> is_rising([0, 5], 0, 18), is_rising([5, 5], 0, 18), is_rising([0, 19], 0, 18)
        (True, False, False)
    """
    whole = all(type(value) is int and lowest <= value <= highest for value in values)
    return whole and values == sorted(set(values))


def _check_doubles(annotation: Json, where: str, seen: _Seen, findings: Findings) -> None:
    image_id, cell_id = annotation["image_id"], annotation["cell_id"]
    for category_id in annotation["category_ids"]:
        cell = (image_id, cell_id, str(category_id))
        if cell in seen.cells:
            findings.add("duplicate cell", f"{where}, category {category_id}")
        seen.cells.add(cell)
    mask = (image_id, hash(str(annotation["segmentation"].get("counts"))))
    # one cell may have several annotations (layout per-label), two cells no common mask
    other = seen.cell_of_mask.setdefault(mask, cell_id)
    if other != cell_id:
        findings.add("duplicate mask", f"{where}: that of cell {other}")


def _check_set(
    annotation: Json, image: KnownImage, categories: set[int], where: str, findings: Findings
) -> None:
    category_id, category_ids = annotation["category_id"], annotation["category_ids"]
    for known in (category_id, *category_ids):
        if type(known) is not int or known not in categories:
            findings.add("unknown category", f"{where}: {shorten(known)}")
            return
    if category_ids[:1] != [category_id] or not is_rising(category_ids, 1, max(categories)):
        findings.add("category set", f"{where}: {category_id} and {category_ids}")
    # an image is not labelled Negative for cells that show none of its labels
    strays = sorted({category - 1 for category in category_ids} - image.labels - {NEGATIVE})
    if strays:
        findings.add("stray label", f"{where}: {', '.join(map(str, strays))}")
    if annotation["iscrowd"] != 0:
        findings.add("crowd", where)


def _check_mask(annotation: Json, image: KnownImage, where: str, findings: Findings) -> None:
    width, height = image.size_wh
    bbox = annotation["bbox"]
    if len(bbox) != 4 or not all(isinstance(number, int | float) for number in bbox):
        findings.add("key", f"{where}: bbox is {shorten(bbox)}")
        return
    x, y, box_width, box_height = bbox
    if x < 0 or y < 0 or x + box_width > width or y + box_height > height:
        findings.add("box outside", f"{where}: {bbox} in {width}x{height}")
    segmentation = annotation["segmentation"]
    if segmentation.get("size") != [height, width]:
        findings.add("size", f"{where}: mask {segmentation.get('size')}, image {[height, width]}")
        return
    counts = segmentation.get("counts")
    try:
        mask = runs_from_counts(counts if isinstance(counts, str) else "", (height, width))
    except InputError:
        findings.add("mask", where)
        return
    if not mask.area:
        findings.add("empty mask", where)
        return
    if annotation["area"] != mask.area:
        findings.add("area", f"{where}: {annotation['area']}, the mask has {mask.area}")
    if list(bbox) != list(mask.bbox_xywh):
        findings.add("box", f"{where}: {bbox}, the mask's is {list(mask.bbox_xywh)}")
    touches = mask.touches_border
    if annotation["touches_border"] != touches:
        findings.add("border flag", f"{where}: {annotation['touches_border']}, it is {touches}")
