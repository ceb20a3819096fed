"""A model to hand on: tensors as safetensors, everything else as JSON.

Neither file can run code (see `exported_config`), and `Predictor(x.json, x.safetensors)` checks
that they belong together.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hpa_mmdet
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cell_size import training_diameter_px
from hpa_mmdet.inference.exported_config import (
    CELL_DIAMETER,
    CONFIG_KEYS,
    EXPORT_FORMAT,
    WHITE_LEVEL,
    check_config,
)
from hpa_mmdet.inference.model_files import LoadedModel
from hpa_mmdet.io.output_records import file_sha256
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.predictions.call_rules import check_thresholds


def export_model(
    loaded: LoadedModel,
    out: Path,
    thresholds: Sequence[float] | None = None,
    cell_diameter_px: float | None = None,
    files: OutputFiles | None = None,
) -> tuple[Path, Path]:
    """Write `out`.safetensors and `out`.json.

    The JSON holds `classes`, `channels`, `scaling` (how pixels become the network's
    input), `thresholds` (probability from which on a class is called), `weights` with
    their `weights_sha256`, `white_level`, `cell_diameter_px`, the `checkpoint_sha256` they
    came from, `version`, and `config`.

    Args:
        loaded: the model.
        out: path without an ending, or with one of the two.
        thresholds: (19,); the model's own by default.
        cell_diameter_px: median of the training's cells as the network saw them; by
            default the checkpoint's, else measured where the config's COCO JSON is here.
        files: the rule for older files; by default none is replaced.

    Returns:
        The two paths, the JSON first.

    Raises:
        InputError: not one threshold per class, a config that an export cannot hold, or a place
            that cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    chosen = tuple(loaded.rules.thresholds if thresholds is None else thresholds)
    check_thresholds(chosen, "the export")
    files = files or OutputFiles("export")
    json_path, weights_path = paths_of_export(out)
    diameter = cell_diameter_px or loaded.cell_diameter_px
    diameter = diameter or training_diameter_px(loaded.config, loaded.settings)
    config = _plain({key: loaded.config[key] for key in CONFIG_KEYS if key in loaded.config})
    check_config(config, "--out", "hand on the .py and the .pth, or add the class to KNOWN_TYPES")
    state = {
        name: value.cpu().contiguous().clone() for name, value in loaded.model.state_dict().items()
    }
    with files.writing(weights_path) as temporary:
        try:
            save_file(state, temporary, metadata={"format": "pt"})
        except SafetensorError as error:
            raise InputError(
                weights_path, problem=f"cannot be written ({error})", remedy="make room for it"
            ) from error
    content = {
        "format": EXPORT_FORMAT,
        "version": hpa_mmdet.__version__,
        "classes": list(NAMES),
        "channels": list(loaded.settings.channels),
        "scaling": _scaling(loaded, config),
        "thresholds": list(chosen),
        WHITE_LEVEL: loaded.settings.white_level,
        CELL_DIAMETER: diameter and round(diameter, 1),
        "weights": weights_path.name,
        "weights_sha256": file_sha256(weights_path),
        "checkpoint_sha256": loaded.weights_sha256,
        "config": config,
    }
    with files.writing(json_path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return json_path, weights_path


def paths_of_export(out: Path) -> tuple[Path, Path]:
    """Name the JSON and the weights of an export, given either or their common name."""
    base = out.with_suffix("") if out.suffix in (".json", ".safetensors") else out
    return base.with_name(base.name + ".json"), base.with_name(base.name + ".safetensors")


def _scaling(loaded: LoadedModel, config: dict[str, Any]) -> dict[str, Any]:
    preprocessor = config["model"].get("data_preprocessor") or {}
    return {
        "depth": "8 bit as it is; 16 bit times 255 / white_level (measured where it is null)",
        "size": loaded.settings.longest_side_px or loaded.settings.scale,
        "size_is": "longest side in pixels" if loaded.settings.longest_side_px else "factor",
        "mean": preprocessor.get("mean"),
        "std": preprocessor.get("std"),
    }


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(config))
    except TypeError as error:
        raise InputError(
            "config", f"a value that JSON cannot hold ({error})", "numbers, text, lists and dicts",
            "write it so in the config",
        ) from error  # fmt: skip
    return plain
