"""A model from files: a config and a checkpoint, each strict about the other.

Config: a .py file of mmengine, or the .json that tools/export.py wrote beside a
.safetensors file. Checkpoint: a .pth of training, or that .safetensors file. Nothing is
unpickled that could run code.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import hpa_mmdet.datasets
import hpa_mmdet.models  # noqa: F401  (both register what configs name)
from hpa_mmdet.compat.checkpoints import load_checkpoint_strict
from hpa_mmdet.compat.configs import read_config
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.exported_config import CELL_DIAMETER, WHITE_LEVEL, read_export
from hpa_mmdet.inference.settings import InputSettings, read_settings
from hpa_mmdet.io.output_records import file_sha256
from hpa_mmdet.predictions.call_rules import THRESHOLDS_KEY, CallRules, check_thresholds

_SHOWN_KEYS = 4
RELEASED = "released"
"""In the place of a checkpoint: see `load_model`."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to predict.

    Args:
        model: in evaluation mode, on its device.
        settings: the pictures it takes.
        rules: which cells and classes are called.
        config: what it was built from.
        weights_sha256: of the checkpoint file, or "" without one.
        cell_diameter_px: median of the training's cells as the network saw them; None
            where neither export nor checkpoint says it.
    """

    model: nn.Module
    settings: InputSettings
    rules: CallRules
    config: Config
    weights_sha256: str
    cell_diameter_px: float | None = None


def load_model(
    config: str | Path | Config,
    checkpoint: str | Path | None,
    device: str | torch.device = "cpu",
    options: Mapping[str, Any] | None = None,
) -> LoadedModel:
    """Build the config's model and load the checkpoint into it.

    Args:
        config: a file, or a config in memory.
        checkpoint: a file; `RELEASED` for the published weights that the config itself names,
            where it needs no training; None leaves the weights as the config's classes begin
            (tests).
        device: where the model goes.
        options: changes of the config by dotted key, as --cfg-options gives them.

    Raises:
        InputError: a file is missing or damaged, the config holds no model that can be
            built, or config and checkpoint do not fit each other: the message has the
            keys, with expected and found shapes.
    """
    where = config.filename or "config" if isinstance(config, Config) else Path(config)
    exported: dict[str, Any] = {}
    if not isinstance(config, Config):
        config, exported = _read_config(Path(config))
    if options:
        config.merge_from_dict(dict(options))
    settings = read_settings(config, where)
    init_default_scope(config.get("default_scope", "mmdet"))
    released = str(checkpoint) == RELEASED
    if released and exported:  # its JSON may come from anybody and name any file
        raise InputError(where, RELEASED, "the .safetensors file of the export", "name that file")
    path = None if checkpoint is None or released else Path(checkpoint).expanduser()
    if exported and path is not None:
        # nothing of its size is made before the weights are known to be of that size too
        with torch.device("meta"):
            check_fit(_build(config, where), read_shapes(path), path, where)
    model = _build(config, where)
    digest = ""
    meta: dict[str, Any] = {}
    if path is not None:
        state, meta = read_checkpoint(path)
        digest = file_sha256(path)
        if exported and path.suffix == ".safetensors" and digest != exported["weights_sha256"]:
            raise InputError(
                path,
                f"SHA-256 {digest[:16]}...",
                f"{exported['weights_sha256'][:16]}... as {where} says",
                "take the two files of one export",
            )
        check_fitted(meta, config, path)
        check_fit(model, state, path, where)
        model.load_state_dict(state)
    if released:
        digest = _load_released(model, where)
    rules = _rules(exported, where, meta, None if released else checkpoint)
    stored = {**meta, **{key: value for key, value in exported.items() if value is not None}}
    settings = replace(settings, white_level=stored.get(WHITE_LEVEL) or settings.white_level)
    diameter = stored.get(CELL_DIAMETER)
    return LoadedModel(model.to(device).eval(), settings, rules, config, digest, diameter)


def _load_released(model: Any, where: object) -> str:
    """Load the published weights that a config names; give the SHA-256 of them all.

    Raises:
        InputError: parts of the model would have to be trained, or a file is missing.
    """
    if not getattr(getattr(model, "localization", None), "needs_no_training", False):
        raise InputError(
            where,
            problem="its heads have to be trained, so there are no released weights of them",
            remedy="give the checkpoint of a training",
        )
    model.init_weights()
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def check_fitted(meta: Mapping[str, Any], config: Config, path: Path) -> None:
    """Refuse a checkpoint from before the fit, whose heads name cells at random.

    Raises:
        InputError: it says so, or it was written by a training that ends with a fit and does
            not say that it had one; the fitted checkpoint is named.
    """
    from hpa_mmdet.fit.loop import FITTED_CHECKPOINT

    ends_with_fit = "fit" in (config.get("train_cfg") or {})
    unsaid = ends_with_fit and "epoch" in meta and THRESHOLDS_KEY not in meta
    if meta.get("fitted", not unsaid):
        return
    beside = path.with_name(FITTED_CHECKPOINT)
    raise InputError(
        path,
        problem="is from before the fit, so its localization heads are not fitted and would name "
        "cells at random",
        remedy=f"take {beside}"
        if beside.is_file()
        else f"train to the end, then take {FITTED_CHECKPOINT} of the work folder",
    )


def _rules(
    exported: Mapping[str, Any], config: object, meta: Mapping[str, Any], checkpoint: object
) -> CallRules:
    """Take the thresholds of the export, else those of the checkpoint, else 0.5."""
    for content, file in ((exported, config), (meta, checkpoint)):
        values = content.get(THRESHOLDS_KEY)
        if values is not None:
            name = Path(str(file)).name
            floats = [float(value) for value in values]
            return CallRules(check_thresholds(floats, file), source=f"stored in {name}")
    return CallRules()


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors of a .pth or .safetensors file by name, and a .pth's `meta`.

    Raises:
        InputError: there is no such file, it is damaged, or it holds no tensors.
    """
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path), {}
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error
    content = load_checkpoint_strict(path)
    state = content.get("state_dict", content)
    state = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if not state:
        raise InputError(
            path, "no tensors", "a checkpoint with a state_dict", "give the .pth of training"
        )
    meta = content.get("meta")
    return (
        {name.removeprefix("module."): value for name, value in state.items()},
        meta if isinstance(meta, dict) else {},
    )


def read_shapes(path: Path) -> dict[str, Tensor]:
    """Read the shapes of a checkpoint's tensors by name; of .safetensors without the data.

    Raises:
        InputError: as `read_checkpoint`.
    """
    if path.suffix != ".safetensors":
        return read_checkpoint(path)[0]
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def check_fit(model: nn.Module, state: Mapping[str, Tensor], path: Path, config: object) -> None:
    """Compare the tensors of a checkpoint with those of a model.

    Raises:
        InputError: a tensor is missing, too many, or of another shape; a few are named.
    """
    wanted = model.state_dict()
    differences = [
        f"{name} of shape {_shape(state[name])}, expected {_shape(tensor)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    differences += [
        f"no {name}, expected {_shape(tensor)}"
        for name, tensor in wanted.items()
        if name not in state
    ]
    differences += [
        f"{name} of shape {_shape(tensor)}, expected no such tensor"
        for name, tensor in state.items()
        if name not in wanted
    ]
    if differences:
        more = len(differences) - _SHOWN_KEYS
        listed = "; ".join(differences[:_SHOWN_KEYS]) + (f"; and {more} more" if more > 0 else "")
        raise InputError(
            path,
            listed,
            f"the {len(wanted)} tensors of the model in {config}",
            "give the config that this checkpoint was trained with",
        )


def _damaged(path: Path, error: Exception) -> InputError:
    if not path.is_file():
        return InputError(path, "no file", "a .safetensors file", "check the path")
    return InputError(
        path, f"a damaged file ({error})", "a whole .safetensors file", "copy it again"
    )


def _read_config(path: Path) -> tuple[Config, dict[str, Any]]:
    if path.suffix == ".json" and path.is_file():
        content = read_export(path)
        return Config(content["config"]), content
    if path.is_file() and path.suffix != ".py":
        raise InputError(
            path, f"a {path.suffix} file", ".py, or the .json of an export", "give one of these"
        )
    return read_config(path), {}


def _build(config: Config, where: object) -> nn.Module:
    from mmdet.registry import MODELS

    if "model" not in config:
        raise InputError(where, "no `model`", "an experiment's config", "give one of configs/")
    try:
        model: nn.Module = MODELS.build(config.model)
    except InputError:
        raise
    except Exception as error:  # whatever the classes say to wrong arguments
        raise InputError(
            f"{where}, model",
            f"{type(error).__name__}: {error}",
            "a model that can be built",
            "correct the config",
        ) from error
    return model


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single value"
