"""16-bit files of any range give the cells of the same image at 8 bit, and the run says how."""

import json
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from cell_images import CHANNELS, cell_image, write_config
from stand_in import StandInCells

import hpa_mmdet
from hpa_mmdet.cli.export import main as export
from hpa_mmdet.cli.infer import main
from hpa_mmdet.errors import InputError


def write_16_bit(folder: Path, white_level: int) -> None:
    folder.mkdir()
    for seed in range(2):
        image = cell_image(seed)[0].astype(np.uint32)
        image[0, 0] = 255  # full brightness is there
        pixels = (image * white_level // 255).astype(np.uint16)
        for number, channel in enumerate(CHANNELS):
            encoded = imagecodecs.png_encode(np.ascontiguousarray(pixels[..., number]))
            (folder / f"image-{seed}_{channel}.png").write_bytes(encoded)


def model_files(folder: Path, **meta: object) -> list[str]:
    torch.save({"state_dict": StandInCells().state_dict(), "meta": meta}, folder / "model.pth")
    return [str(write_config(folder)), str(folder / "model.pth")]


def cells_of(out: Path) -> list[dict]:
    return json.loads((out / "cells.json").read_text())


@pytest.mark.parametrize("white_level", [1023, 4095, 65535])
def test_the_range_of_the_folder_is_measured_and_told(tmp_path: Path, white_level: int) -> None:
    write_16_bit(tmp_path / "images", white_level)
    job = [*model_files(tmp_path), str(tmp_path / "images"), "--out", str(tmp_path / "out")]
    assert main(job) == 0
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert any(f"read with white level {white_level}" in note for note in report["notes"])
    found = cells_of(tmp_path / "out")
    want = hpa_mmdet.Predictor(tmp_path / "stand_in_config.py")(cell_image(0)[0])
    assert len([cell for cell in found if cell["hpa_id"] == "image-0"]) == len(want) + 1


def test_a_folder_that_does_not_fit_the_model_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_16_bit(tmp_path / "images", 4095)
    files = model_files(tmp_path, white_level=65535)
    release = str(tmp_path / "release")
    assert export([*files, "--out", release]) == 0
    assert json.loads((tmp_path / "release.json").read_text())["white_level"] == 65535
    job = [f"{release}.json", f"{release}.safetensors", str(tmp_path / "images")]
    assert main([*job, "--out", str(tmp_path / "out")]) == 2
    assert (
        "--white-level: 16-bit files have values up to 4095, and the model learned from files "
        "whose white level is 65535; give --white-level 65535 if these images are just dark"
    ) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*job, "--out", str(tmp_path / "out"), "--white-level", "4095"]) == 0
    assert "white level 4095, as --white-level says" in capsys.readouterr().out
    assert cells_of(tmp_path / "out")


def test_a_white_level_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--white-level: found 0, expected 1 to 65535"):
        hpa_mmdet.Predictor(write_config(tmp_path), white_level=0)
