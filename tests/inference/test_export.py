"""tools/export.py: two files that say everything and hold no code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_images import cell_image, write_config
from safetensors import safe_open
from stand_in import StandInCells

import hpa_mmdet
from hpa_mmdet.cli.export import main
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.export import export_model
from hpa_mmdet.inference.model_files import load_model
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.predictions.call_rules import CallRules


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    model = StandInCells()
    with torch.no_grad():
        model.rates.copy_(torch.linspace(2, 0, 19))
    torch.save({"state_dict": model.state_dict()}, tmp_path / "model.pth")
    thresholds = tmp_path / "thresholds.json"
    thresholds.write_text(json.dumps([0.3] * 19))
    files = [str(write_config(tmp_path)), str(tmp_path / "model.pth")]
    out = ["--out", str(tmp_path / "release/cells-v1.2"), "--thresholds", str(thresholds)]
    assert main([*files, *out]) == 0
    return tmp_path / "release"


def test_the_export_predicts_what_the_checkpoint_predicts(tmp_path: Path, exported: Path) -> None:
    image, _ = cell_image(1)
    mine = hpa_mmdet.Predictor(exported / "cells-v1.2.json", exported / "cells-v1.2.safetensors")
    theirs = hpa_mmdet.Predictor(tmp_path / "stand_in_config.py", tmp_path / "model.pth")
    assert mine.loaded.rules == CallRules((0.3,) * 19, source="stored in cells-v1.2.json")
    for one, other in zip(mine(image), theirs(image), strict=True):
        assert one.counts == other.counts
        assert np.array_equal(one.localization_scores, other.localization_scores)


def test_the_json_says_what_a_reader_needs(exported: Path) -> None:
    content = json.loads((exported / "cells-v1.2.json").read_text())
    assert content["classes"] == list(NAMES)
    assert content["channels"] == ["red", "green", "blue", "yellow"]
    assert content["weights"] == "cells-v1.2.safetensors"
    assert content["thresholds"] == [0.3] * 19
    assert content["scaling"]["size"] == 1.0
    with safe_open(exported / "cells-v1.2.safetensors", "pt") as tensors:
        assert list(tensors.keys()) == ["rates"]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, exported: Path) -> None:
    loaded = load_model(tmp_path / "stand_in_config.py", tmp_path / "model.pth")
    export_model(loaded, tmp_path / "again/cells-v1.2.json", [0.3] * 19)
    for name in ("cells-v1.2.json", "cells-v1.2.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_weights_of_another_export_are_refused(exported: Path) -> None:
    path = exported / "cells-v1.2.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"found SHA-256 .*\.\.\. as .*cells-v1.2.json says; take"):
        load_model(exported / "cells-v1.2.json", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", r"x\.json: not JSON", id="no JSON"),
        pytest.param("{}", "found format None, expected 'hpa-mmdet-model/1'", id="other"),
        pytest.param("[]", "found format 'list'", id="list"),
    ],
)
def test_a_json_that_is_no_export_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_model(tmp_path / "x.json", None)


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path)
    torch.save({"state_dict": StandInCells().state_dict()}, tmp_path / "model.pth")
    (tmp_path / "few.json").write_text("[0.5]")
    job = [str(config), str(tmp_path / "model.pth"), "--out", str(tmp_path / "out")]
    assert main([*job, "--thresholds", str(tmp_path / "few.json")]) == 2
    assert "few.json: found 1 numbers, expected 19" in capsys.readouterr().err
    loaded = load_model(config, None)
    loaded.config.model["odd"] = {1, 2}
    with pytest.raises(InputError, match="config: found a value that JSON cannot hold"):
        export_model(loaded, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_files_that_are_not_an_export_stay(
    tmp_path: Path, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = [str(tmp_path / "stand_in_config.py"), str(tmp_path / "model.pth"), "--out"]
    mine = tmp_path / "mine.json"
    mine.write_text("mine")
    assert main([*job, str(tmp_path / "mine"), "--overwrite"]) == 2
    assert "mine.json: was not written by export" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    assert main([*job, str(exported / "cells-v1.2")]) == 2
    assert "cells-v1.2.json: is there from an earlier run" in capsys.readouterr().err
    assert main([*job, str(exported / "cells-v1.2"), "--overwrite"]) == 0
    assert main([*job, str(mine / "below")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main([*job, str(tmp_path / "x"), "--cell-diameter", "nan"]) == 2
    assert "--cell-diameter: found nan" in capsys.readouterr().err
