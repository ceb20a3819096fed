"""Values of a COCO JSON's entries, each checked where it is taken out."""

import math
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import shorten

_REMEDY = "correct the file; docs/reference/coco_format.md lists the keys"
HIGHEST_COCO_ID = 2**63 - 1
_FARTHEST = 2**31  # pixels from the origin, of a box


def take_whole(entry: Mapping[str, Any], key: str, where: object, low: int, high: int) -> int:
    """Take a whole number in a range.

    Raises:
        InputError: there is none, or it is another kind of value.
    """
    value = entry.get(key)
    if type(value) is int and low <= value <= high:
        return value
    if value is None:
        raise InputError(where, problem=f"it has no {key}", remedy=_REMEDY)
    wanted = f"a whole number from {low}" + (f" to {high}" if high < 1000 else " on")
    raise InputError(where, f"{key} {shorten(value)}", wanted, _REMEDY)


def take_text(entry: Mapping[str, Any], key: str, where: object) -> str:
    """Take a text that is not empty.

    Raises:
        InputError: there is none.
    """
    value = entry.get(key)
    if value is None:
        raise InputError(where, problem=f"it has no {key}", remedy=_REMEDY)
    if not isinstance(value, str) or not value:
        raise InputError(where, f"{key} {shorten(value)}", "a text", _REMEDY)
    return value


def take_hpa_id(image: Mapping[str, Any], file_name: str, where: object) -> str:
    """Take the HPA id of an image, or read it from its file name; composed (NFC).

    Raises:
        InputError: it is no text, or holds control characters.
    """
    if image.get("hpa_id") is None:
        name = PurePosixPath(file_name).stem.removesuffix("_green")
    else:
        name = take_text(image, "hpa_id", where)
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InputError(where, f"hpa_id {shorten(name)}", "no control characters", _REMEDY)
    return unicodedata.normalize("NFC", name)


def take_list(entry: Mapping[str, Any], key: str, where: object) -> list[Any]:
    """Take a list; empty where there is none or it is null.

    Raises:
        InputError: it is another kind of value.
    """
    value = entry.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(where, f"{key} {shorten(value)}", "a list", _REMEDY)
    return value


def take_box(annotation: Mapping[str, Any], where: object) -> tuple[int, int, int, int] | None:
    """Take `bbox` in whole pixels, None where there is none.

    Raises:
        InputError: it is not four finite numbers.
    """
    bbox = annotation.get("bbox")
    if bbox is None:
        return None
    if isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_number, bbox)):
        x, y, width, height = map(round, bbox)
        return (x, y, width, height)
    raise InputError(where, f"bbox {shorten(bbox)}", "[x, y, width, height] in pixels", _REMEDY)


def take_area(annotation: Mapping[str, Any], where: object) -> int | None:
    """Take `area` in whole pixels, None where there is none.

    Raises:
        InputError: it is no finite number from 0 on.
    """
    area = annotation.get("area")
    if area is None:
        return None
    if type(area) not in (int, float) or not 0 <= area < 2**53:
        raise InputError(where, f"area {shorten(area)}", "a number of pixels", _REMEDY)
    return round(area)


def take_flag(entry: Mapping[str, Any], key: str, where: object) -> bool:
    """Take true or false; false where there is none or it is null.

    Raises:
        InputError: it is another kind of value.
    """
    value = entry.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputError(where, f"{key} {shorten(value)}", "true or false", _REMEDY)
    return bool(value)


def take_probabilities(annotation: Mapping[str, Any], count: int, where: object) -> list[float]:
    """Take `category_probs`, one for each of `count` categories; empty where there are none.

    Raises:
        InputError: another number of them, or one outside 0 to 1.
    """
    probs = take_list(annotation, "category_probs", where)
    if not probs:
        return []
    if len(probs) != count or not all(_is_number(prob) and 0 <= prob <= 1 for prob in probs):
        raise InputError(
            where,
            f"category_probs {shorten(probs)}",
            "a number from 0 to 1 for each category of category_ids",
            _REMEDY,
        )
    return [float(prob) for prob in probs]


def _is_number(value: object) -> bool:
    if type(value) is int:
        return -_FARTHEST <= value <= _FARTHEST
    return type(value) is float and math.isfinite(value) and abs(value) <= _FARTHEST
