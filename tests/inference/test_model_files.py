"""A config and a checkpoint that fit each other, and what is said of those that do not."""

from pathlib import Path

import pytest
import torch
from cell_images import write_config
from stand_in import StandInCells

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.model_files import load_model, read_checkpoint


def save(path: Path, **options: int) -> Path:
    torch.save({"state_dict": StandInCells(**options).state_dict(), "meta": {"epoch": 2}}, path)
    return path


def test_a_checkpoint_is_loaded(tmp_path: Path) -> None:
    model = StandInCells()
    with torch.no_grad():
        model.rates.fill_(0.25)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pth")
    loaded = load_model(write_config(tmp_path), tmp_path / "model.pth")
    assert loaded.model.rates.tolist() == [0.25] * 19
    assert not loaded.model.training
    assert loaded.settings.channels == ("red", "green", "blue", "yellow")
    assert loaded.rules.thresholds == (0.5,) * 19
    assert len(loaded.weights_sha256) == 64


def test_a_state_dict_alone_and_one_of_a_wrapped_model_are_read(tmp_path: Path) -> None:
    state = {f"module.{name}": value for name, value in StandInCells().state_dict().items()}
    torch.save(state, tmp_path / "bare.pth")
    assert list(read_checkpoint(tmp_path / "bare.pth")[0]) == ["rates"]


def test_a_checkpoint_of_another_model_is_refused_by_key_and_shape(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    path = save(tmp_path / "other.pth", classes=28)
    with pytest.raises(
        InputError,
        match=r"other.pth: found rates of shape 28, expected 19, expected the 1 tensors of the "
        r"model in .*stand_in_config.py; give the config",
    ):
        load_model(config, path)


def test_missing_and_unknown_tensors_are_listed_and_counted(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    state = {f"head.{number}": torch.zeros(2, 3) for number in range(7)}
    torch.save({"state_dict": state}, tmp_path / "strange.pth")
    with pytest.raises(
        InputError,
        match=r"found no rates, expected 19; head.0 of shape 2x3, expected no such tensor; "
        r".*; and 4 more, expected",
    ):
        load_model(config, tmp_path / "strange.pth")


def test_a_hostile_checkpoint_does_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(InputError, match=r"hostile.pth: found a pickle that names getattr"):
        load_model(write_config(tmp_path), tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "meta": {"epoch": 1}}, tmp_path / "empty.pth")
    with pytest.raises(
        InputError, match=r"empty.pth: found no tensors, expected a checkpoint with"
    ):
        read_checkpoint(tmp_path / "empty.pth")
    with pytest.raises(
        InputError, match=r"none.safetensors: found no file, expected a .safetensors"
    ):
        read_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"abc")
    with pytest.raises(InputError, match=r"cut.safetensors: found a damaged file"):
        read_checkpoint(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("model = dict(", r"cannot be used \(SyntaxError", id="syntax"),
        pytest.param("a = 1", "no test_pipeline, expected one that begins", id="no pipeline"),
        pytest.param(
            "test_pipeline = [dict(type='LoadHpaChannels')]", "no `model`, expected", id="no model"
        ),
        pytest.param(
            "test_pipeline = [dict(type='LoadHpaChannels')]\nmodel = dict(type='NoSuchModel')",
            r"config.py, model: found KeyError.*NoSuchModel.*expected a model that can be built",
            id="unknown class",
        ),
        pytest.param(
            "test_pipeline = [dict(type='LoadHpaChannels')]\n"
            "model = dict(type='StandInCells', clases=3)",
            "model: found TypeError.*clases",
            id="misspelled",
        ),
    ],
)
def test_configs_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_model(path, None)


def test_a_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.py: found no file, expected a config"):
        load_model(tmp_path / "none.py", None)


def test_an_option_changes_the_config(tmp_path: Path) -> None:
    loaded = load_model(write_config(tmp_path), None, options={"model.classes": 23})
    assert loaded.model.rates.numel() == 23


@pytest.mark.parametrize(
    ("meta", "remedy"),
    [
        pytest.param({"fitted": False, "epoch": 2}, "train to the end", id="says so"),
        pytest.param({"epoch": 2}, "train to the end", id="older training"),
    ],
)
def test_a_checkpoint_from_before_the_fit_is_refused(
    tmp_path: Path, meta: dict, remedy: str
) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text() + 'train_cfg = dict(type="DetectThenFitLoop", fit={})\n')
    state = StandInCells().state_dict()
    torch.save({"state_dict": state, "meta": meta}, tmp_path / "epoch_2.pth")
    with pytest.raises(InputError, match=rf"epoch_2.pth: is from before the fit.*; {remedy}"):
        load_model(config, tmp_path / "epoch_2.pth")
    torch.save({"state_dict": state, "meta": {**meta, "fitted": True}}, tmp_path / "fitted.pth")
    with pytest.raises(InputError, match=r"; take .*fitted\.pth"):
        load_model(config, tmp_path / "epoch_2.pth")
    load_model(config, tmp_path / "fitted.pth")
    torch.save(state, tmp_path / "bare.pth")  # tensors alone say nothing, and are believed
    load_model(config, tmp_path / "bare.pth")
