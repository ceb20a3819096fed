"""Configs and options: read, changed by type, and every mistake said in a sentence."""

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from hpa_mmdet.compat.configs import apply_options, config_errors, parse_options, read_config
from hpa_mmdet.errors import InputError

ROOT = Path(__file__).parents[2]
REAL = ROOT / "configs/mask_rcnn/hpa-mask-rcnn_r50_fpn_bag-lse_1x_hpa.py"


@pytest.mark.parametrize("folder", ['a"b', "a'b, c", "back\\slash", "Zellen-\u00e4"])
def test_any_data_root_is_taken_as_it_is(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPA_DATA", "elsewhere")
    config = read_config(REAL, tmp_path / folder)
    assert config.train_dataloader.dataset.ann_file == f"{tmp_path / folder}/train_train.json"
    config.dump(tmp_path / "kept.py")
    again = Config.fromfile(tmp_path / "kept.py")
    assert again.val_dataloader.dataset.ann_file == f"{tmp_path / folder}/train_val.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("model = dict(", r"cannot be used \(SyntaxError: ", id="syntax"),
        pytest.param("a = b", r"cannot be used \(NameError: name 'b'", id="name"),
        pytest.param("_base_ = './no.py'", "cannot be read .*correct the names in its", id="base"),
    ],
)
def test_configs_that_do_not_load(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path)
    with pytest.raises(InputError, match=r"none.py: found no file, expected a config"):
        read_config(tmp_path / "none.py")


def config() -> Config:
    hooks = [{"type": "StartUpChecks"}, {"type": "Early", "patience": 4}, {"type": "Twice"}]
    return Config({"custom_hooks": [*hooks, {"type": "Twice"}], "train_cfg": {"max_epochs": 2}})


def test_items_of_lists_are_addressed_by_type_and_by_place() -> None:
    given = config()
    options = ["custom_hooks.Early.patience=8", "custom_hooks.0.most=3", "train_cfg.max_epochs=6"]
    apply_options(given, parse_options(options))
    assert given.custom_hooks[1] == {"type": "Early", "patience": 8}
    assert given.custom_hooks[0].most == 3
    assert given.train_cfg.max_epochs == 6
    apply_options(given, {"load_from": "a.pth", "resume": True})  # what the runner takes
    assert given.load_from == "a.pth"


@pytest.mark.parametrize("deleted_at", [0, 2])
def test_a_part_is_emptied_before_its_values_are_set(deleted_at: int) -> None:
    given = Config({"loss": {"type": "BagLoss", "pooling": "max"}, "lr": 1})
    options = ["loss.type=CellLoss", "lr=2"]
    options.insert(deleted_at, "loss._delete_=True")
    apply_options(given, parse_options(options))
    assert given.loss == {"type": "CellLoss"}
    assert given.lr == 2


@pytest.mark.parametrize(
    ("option", "message"),
    [
        pytest.param(
            "train_cfgs.a=1", "no train_cfgs in the config; did you mean train_cfg", id="1"
        ),
        pytest.param(
            "custom_hooks.None.a=1", "no None in the list; name one of Start", id="no type"
        ),
        pytest.param("custom_hooks.Twice.a=1", "2 Twice in the list", id="twice"),
        pytest.param("custom_hooks.9.a=1", r"cannot be used \(KeyError", id="past the end"),
        pytest.param("train_cfg.max_epochs.a=1", r"cannot be used \(TypeError", id="of a number"),
        pytest.param("train_cfg", "found 'train_cfg', expected key=value", id="no value"),
        pytest.param("a=(1,2", "cannot be used", id="bracket"),
    ],
)
def test_options_that_fit_nothing(option: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply_options(config(), parse_options([option]))


def test_errors_of_places_and_of_users_stay_as_they_are() -> None:
    for error in (InputError("a", problem="b", remedy="c"), PermissionError(13, "d")):
        with pytest.raises(type(error), match=re.escape(str(error))), config_errors("part"):
            raise error


def hook_keys(page: str) -> list[str]:
    """The keys of --cfg-options that a page names."""
    text = (ROOT / page).read_text(encoding="utf-8")
    words = re.findall(r"`([a-z_]+(?:\.\w+)+)=(\S+?)`|(?<= )([a-z_]+(?:\.\w+)+)=(\S+?)[`\s]", text)
    return [f"{a or c}={b or d}" for a, b, c, d in words]


def test_every_option_of_the_page_changes_what_it_names() -> None:
    options = hook_keys("docs/how-to/train.md")
    assert len(options) >= 6
    for option in options:
        given = read_config(REAL)
        before = given.pretty_text
        apply_options(given, parse_options([option]))
        key, _, value = option.partition("=")
        assert given.pretty_text != before, option
        assert _value(given, key) == parse_options([option])[key] or value == "True"


def _value(node: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(node, list) and not part.isdigit():
            node = next(item for item in node if item["type"] == part)
        else:
            node = node[int(part)] if isinstance(node, list) else node[part]
    return node
