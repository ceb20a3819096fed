"""Images of another magnification than the training's are noticed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_images import cell_image, write_config, write_images
from mmengine.config import Config
from PIL import Image
from stand_in import StandInCells

from hpa_mmdet.cli.export import main as export
from hpa_mmdet.cli.infer import main
from hpa_mmdet.inference.cell_size import compare_sizes, training_diameter_px
from hpa_mmdet.inference.settings import InputSettings
from hpa_mmdet.masks.encode import encode_cells
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

CHANNELS = ("red", "green", "blue", "yellow")


def coco_json(path: Path) -> None:
    images = [{"id": 1, "width": 400, "height": 200}, {"id": 2, "width": 200, "height": 100}]
    circles = [(1, 40), (1, 60), (2, 50), (2, 500)]
    annotations = [
        {"image_id": image, "area": np.pi / 4 * d**2, "touches_border": d == 500}
        for image, d in circles
    ]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def test_the_training_set_is_measured_as_the_network_sees_it(tmp_path: Path) -> None:
    coco_json(tmp_path / "train.json")
    dataset = {"data_root": str(tmp_path), "ann_file": "train.json"}
    config = Config({"train_dataloader": {"dataset": {"type": "Repeat", "dataset": dataset}}})
    assert training_diameter_px(config, InputSettings(CHANNELS, 0.5)) == pytest.approx(25)
    longest = InputSettings(CHANNELS, None, 100)  # the first image at a quarter, the other at half
    assert training_diameter_px(config, longest) == pytest.approx(15)
    (tmp_path / "train.json").write_text('{"images": []}')
    assert training_diameter_px(config, longest) is None
    assert training_diameter_px(Config({}), longest) is None


def predicted(labels: np.ndarray) -> ImagePrediction:
    height, width = labels.shape
    scores = np.zeros(19, np.float32)
    cells = [
        CellPrediction(cell.counts, (height, width), cell.bbox_xywh, cell.area, 0.9, scores)
        for cell in encode_cells(labels)
    ]
    return ImagePrediction("a", width, height, cells)


def test_cells_say_how_large_they_are() -> None:
    _, labels = cell_image(3, (210, 330), cells=20)
    images, rules = [predicted(labels)], CallRules()
    settings = InputSettings(CHANNELS, 1.0)
    assert compare_sizes(images, rules, settings, 25.0) is None
    note = compare_sizes(images, rules, settings, 100.0)
    assert note is not None
    median, scale = (float(text) for texts in re.findall(r"about (\d+)|--input-scale ([\d.]+)", note)
                     for text in texts if text)  # fmt: skip
    assert median == pytest.approx(25, abs=3)
    assert scale == pytest.approx(100 / median, rel=0.05)
    assert compare_sizes(images, rules, InputSettings(CHANNELS, scale), 100.0) is None
    assert compare_sizes([], rules, settings, 100.0) is None
    assert compare_sizes([predicted(labels * 0)], rules, settings, 100.0) is None


def test_infer_proposes_the_scale_that_the_export_was_trained_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": StandInCells().state_dict()}, tmp_path / "model.pth")
    model = [str(write_config(tmp_path)), str(tmp_path / "model.pth")]
    release = str(tmp_path / "release")
    assert export([*model, "--out", release, "--cell-diameter", "100"]) == 0
    assert json.loads((tmp_path / "release.json").read_text())["cell_diameter_px"] == 100
    write_images(tmp_path / "images", range(2))
    (tmp_path / "masks").mkdir()
    for seed in range(2):
        labels = cell_image(seed)[1]
        Image.fromarray(labels).save(tmp_path / f"masks/image-{seed:03d}.png")
    job = [f"{release}.json", f"{release}.safetensors", str(tmp_path / "images")]
    given = ["--instances", "masks", "--masks", str(tmp_path / "masks"), "--write", "coco"]
    assert main([*job, "--out", str(tmp_path / "out"), *given]) == 0
    assert re.search(r"it learned on 100: --input-scale 4\.?\d* would", capsys.readouterr().out)
    assert main([*job, "--out", str(tmp_path / "two"), *given, "--input-scale", "4"]) == 0
    assert "--input-scale" not in capsys.readouterr().out
