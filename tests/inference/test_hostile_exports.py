"""An export may come from anybody: nothing of it runs, and nothing huge is made for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from safetensors.torch import save_file

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.export import export_model
from hpa_mmdet.inference.exported_config import check_config
from hpa_mmdet.inference.model_files import load_model

CONFIGS = Path(__file__).parents[2] / "configs"
DEMO = CONFIGS / "mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("export")
    return export_model(load_model(DEMO, None), folder / "cells")


def changed(
    exported: tuple[Path, Path], folder: Path, change: Callable[[dict[str, Any]], Any]
) -> Path:
    content = json.loads(exported[0].read_text())
    change(content)
    path = folder / "changed.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("[!_]*/*.py")), ids=lambda path: path.stem)
def test_every_shipped_model_can_be_exported(path: Path) -> None:
    config = Config.fromfile(path)
    kept = {key: config[key] for key in ("model", "test_pipeline") if key in config}
    check_config(json.loads(json.dumps(kept)), path)


def test_what_was_exported_loads(exported: tuple[Path, Path]) -> None:
    assert load_model(*exported).settings.channels == ("red", "green", "blue", "yellow")


def set_at(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        part = content["config"]
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value

    return change


RUNS = "os.system"
CODE = "__import__('os').system('true')"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(set_at("model", "type", value=RUNS), "type 'os.system' is not", id="model"),
        pytest.param(
            set_at("model", "type", value="mmengine.Config"), "'mmengine.Config' is", id="dotted"
        ),
        pytest.param(
            set_at("model", "backbone", "type", value="mmdet.ResNet"), "'mmdet.ResNet'", id="scope"
        ),
        pytest.param(set_at("model", "neck", "act_cfg", value={"type": RUNS}), RUNS, id="inner"),
        pytest.param(
            set_at("model", "test_cfg", "rcnn", "nms", "type", value=CODE), "__import__", id="eval"
        ),
        pytest.param(set_at("model", "type", value=["HpaMaskRCNN"]), "type .*HpaMask", id="list"),
        pytest.param(set_at("custom_imports", value={}), "config is not default_scope", id="more"),
        pytest.param(
            set_at("model", "custom_imports", value={}), "key 'custom_imports' is not", id="imports"
        ),
        pytest.param(set_at("model", "_scope_", value="x"), "key '_scope_' is not", id="_scope_"),
        pytest.param(
            set_at("default_scope", value="evil"), "default_scope is not 'mmdet'", id="scope name"
        ),
        pytest.param(
            set_at("model", "backbone", "model_name", value="hf-hub:evil/x"), "no network", id="hub"
        ),
        pytest.param(
            set_at("model", "backbone", "model_name", value="local-dir:/tmp"), "no netw", id="dir"
        ),
        pytest.param(
            set_at("model", "backbone", "options", value={"checkpoint_path": "x"}),
            "options may only be",
            id="options",
        ),
        pytest.param(
            set_at("model", "neck", "num_outs", value=10**6), "num_outs cannot be more", id="layers"
        ),
        pytest.param(
            set_at("model", "neck", "out_channels", value=10**9), "out_channels cannot", id="wide"
        ),
        pytest.param(
            set_at("model", "roi_head", "bbox_head", "fc_out_channels", value=2**19),
            r"changed.json; give the config|of shape .*, expected",
            id="larger than its weights",
        ),
        pytest.param(set_at("model", "no_such", value=1), "model: found TypeError", id="argument"),
        pytest.param(set_at("model", value=3), "changed.json, model: found", id="no dict"),
        pytest.param(set_at("test_pipeline", value={}), "found no test_pipeline", id="pipeline"),
        pytest.param(
            set_at("test_pipeline", value=[{"type": "LoadHpaChannels", "scale": "x"}]),
            "scale 'x', expected a number",
            id="scale",
        ),
    ],
)
def test_a_hostile_config_is_refused(
    exported: tuple[Path, Path], tmp_path: Path, change: Callable[..., None], message: str
) -> None:
    path = changed(exported, tmp_path, change)
    with pytest.raises(InputError, match=message):
        load_model(path, exported[1])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("thresholds", [0.5]),
        ("thresholds", [2] * 19),
        ("thresholds", "all"),
        ("weights_sha256", None),
        ("cell_diameter_px", "large"),
        ("cell_diameter_px", -3),
        ("white_level", 10**6),
    ],
)
def test_damaged_facts_are_refused(
    exported: tuple[Path, Path], tmp_path: Path, key: str, value: object
) -> None:
    path = changed(exported, tmp_path, lambda content: content.update({key: value}))
    with pytest.raises(InputError, match=f"changed.json: {key} cannot be"):
        load_model(path, exported[1])


def test_deep_nesting_is_refused(exported: tuple[Path, Path], tmp_path: Path) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"deep\.json: not JSON"):
        load_model(deep, exported[1])
    nested: list[Any] = []
    for _ in range(40):
        nested = [nested]
    path = changed(exported, tmp_path, set_at("model", "neck", "deep", value=nested))
    with pytest.raises(InputError, match="config is too large"):
        load_model(path, exported[1])


def test_a_config_of_another_kind_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("custom_imports: {imports: [os]}")
    with pytest.raises(InputError, match=r"found a .yaml file, expected .py, or the .json"):
        load_model(path, None)


def test_weights_of_other_shapes_are_refused_before_the_model_is_made(
    exported: tuple[Path, Path], tmp_path: Path
) -> None:
    save_file({"a": torch.zeros(2, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other.safetensors: found no .*; and \d+ more"):
        load_model(exported[0], tmp_path / "other.safetensors")


def test_an_export_reads_no_file_that_its_json_names(exported: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"found released, expected the \.safetensors file"):
        load_model(exported[0], "released")
