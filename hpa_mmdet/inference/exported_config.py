"""The JSON of an exported model: read without trust, since it may come from anybody.

A config names classes that mmengine imports and builds, and a few of mmcv's options are
evaluated as Python, so that a config can run any code. Of an export nothing is built but the
classes listed here, with numbers in bounds, and nothing is imported or read for it.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import read_json
from hpa_mmdet.localizations import NUM_LOCALIZATIONS

EXPORT_FORMAT = "hpa-mmdet-model/1"
CELL_DIAMETER = "cell_diameter_px"
"""Key of an export, or of a checkpoint's `meta`: median of the training's cells."""
WHITE_LEVEL = "white_level"
"""Key of an export, a checkpoint's `meta` or a config: full brightness in 16-bit files."""
CONFIG_KEYS = ("default_scope", "model", "test_pipeline")
"""What an export keeps of a config."""

KNOWN_TYPES = {
    # of this package
    "BagLoss", "CellLoss", "CellRoIHead", "CropClassifier", "CropPreprocessor",
    "FloatRoIExtractor", "GainAndNoise", "HpaDataPreprocessor", "HpaMaskRCNN", "InheritedLoss",
    "LoadHpaChannels", "LocalizationBranch", "PackCells", "SmallNetwork", "SubCellBranch",
    "SubCellEmbedder", "TimmEmbedder", "TimmFeatures", "TimmViews",
    # of mmdet, mmcv and torch
    "AnchorGenerator", "CrossEntropyLoss", "DeltaXYWHBBoxCoder", "FCNMaskHead", "FPN", "GN",
    "BN", "L1Loss", "MaxIoUAssigner", "RPNHead", "RandomSampler", "ReLU", "Resize", "RoIAlign",
    "Shared2FCBBoxHead", "SmoothL1Loss", "nms",
}  # fmt: skip
"""Values of `type` that an export may have; those of all configs that are shipped."""

_TIMM_OPTIONS = {"strict_img_size", "img_size"}
_TIMM_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")  # neither a hub's address nor a path
_MOST_LAYERS = 1024
_LARGEST_NUMBER = 2**20
_MOST_VALUES = 10_000
_DEEPEST = 24
_LONGEST_TEXT = 1000
_LARGEST_JSON = 16 * 2**20
_REMEDY = "take the two files as tools/export.py wrote them"


def read_export(path: Path) -> dict[str, Any]:
    """Read the JSON of an export and check all of it that is used.

    Raises:
        InputError: it is no JSON, no export, or holds what an export cannot hold.
    """
    content = read_json(path, max_bytes=_LARGEST_JSON)
    if not isinstance(content, dict) or content.get("format") != EXPORT_FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise InputError(path, f"format {found!r}", repr(EXPORT_FORMAT), _REMEDY)
    _check_facts(content, path)
    config = content.get("config")
    if not isinstance(config, dict) or set(config) - set(CONFIG_KEYS):
        raise InputError(path, problem=f"config is not {', '.join(CONFIG_KEYS)}", remedy=_REMEDY)
    check_config(config, path)
    return content


def check_config(config: dict[str, Any], where: object, remedy: str = _REMEDY) -> None:
    """Refuse a config that does not hold known classes and plain, bounded values alone.

    Raises:
        InputError: the value is named.
    """
    if config.get("default_scope", "mmdet") != "mmdet":
        raise InputError(where, problem="default_scope is not 'mmdet'", remedy=remedy)
    for count, (key, value, depth) in enumerate(_values(config), start=1):
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise InputError(where, problem="config is too large", remedy=remedy)
        problem = _problem(key, value)
        if problem:
            raise InputError(where, problem=f"config: {problem}", remedy=remedy)


def _check_facts(content: dict[str, Any], path: Path) -> None:
    thresholds = content.get("thresholds")
    digest = content.get("weights_sha256")
    diameter: Any = content.get(CELL_DIAMETER) or 1
    problems: dict[str, bool] = {
        "thresholds": thresholds is None
        or (
            isinstance(thresholds, list)
            and len(thresholds) == NUM_LOCALIZATIONS
            and all(_is_number(value) and 0 <= value <= 1 for value in thresholds)
        ),
        "weights_sha256": isinstance(digest, str) and bool(re.fullmatch("[0-9a-f]{64}", digest)),
        CELL_DIAMETER: _is_number(diameter) and bool(diameter > 0),
        WHITE_LEVEL: content.get(WHITE_LEVEL) is None
        or (isinstance(content[WHITE_LEVEL], int) and 0 < content[WHITE_LEVEL] < 2**16),
    }
    for key, is_good in problems.items():
        if not is_good:
            shown = str(content.get(key))[:60]
            raise InputError(path, problem=f"{key} cannot be {shown}", remedy=_REMEDY)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _values(config: dict[str, Any]) -> Iterator[tuple[str, Any, int]]:
    """Each value of nested dicts and lists with the key it stands under, and its depth."""
    waiting: list[tuple[str, Any, int]] = [("", config, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        yield key, value, depth
        if isinstance(value, dict):
            waiting += [(name, inner, depth + 1) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(key, inner, depth + 1) for inner in value]


def _problem(key: str, value: Any) -> str:
    """Say what is wrong with one value; "" for nothing."""
    if key.startswith("_") or "custom_" in key:
        return f"key {key!r} is not one of an export"
    if key == "type":
        known = isinstance(value, str) and value in KNOWN_TYPES
        return "" if known else f"type {str(value)[:60]!r} is not one that an export may build"
    if key == "model_name":
        known = isinstance(value, str) and _is_timm_model(value)
        return "" if known else f"timm has no network {str(value)[:60]!r}"
    if key == "options" and (not isinstance(value, dict) or set(value) - _TIMM_OPTIONS):
        return f"options may only be {', '.join(sorted(_TIMM_OPTIONS))}"
    if isinstance(value, str):
        return "" if len(value) <= _LONGEST_TEXT else f"{key} is too long"
    if isinstance(value, bool | dict | list) or value is None:
        return ""
    if not _is_number(value) or abs(value) > _LARGEST_NUMBER:
        return f"{key} cannot be {str(value)[:40]}"
    if "num_" in key and value > _MOST_LAYERS:
        return f"{key} cannot be more than {_MOST_LAYERS}"
    return ""


def _is_timm_model(name: str) -> bool:
    import timm

    return bool(_TIMM_NAME.fullmatch(name)) and bool(timm.is_model(name.partition(".")[0]))
