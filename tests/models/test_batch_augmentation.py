"""Gains and noise for a whole batch: as far as they are allowed to go, and in training alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from hpa_mmdet.models import GainAndNoise

MODEL_FILES = sorted((Path(__file__).parents[2] / "configs/_base_/models").glob("hpa-mask-rcnn_*"))
GREY = torch.full((40, 4, 24, 32), 100.0)


def changed(augment: GainAndNoise, inputs: torch.Tensor = GREY) -> torch.Tensor:
    torch.manual_seed(1)
    batch, samples = augment(inputs.clone(), None)
    assert samples is None
    return batch


def test_each_channel_of_an_image_has_a_gain_of_its_own() -> None:
    batch = changed(GainAndNoise(gain=(0.5, 2.0), gain_prob=1.0, noise_prob=0.0))
    flat = batch.flatten(2)
    torch.testing.assert_close(flat, flat[..., :1].expand_as(flat))
    gains = flat[..., 0] / 100
    assert len(gains.unique()) == 160
    assert gains.mean() == pytest.approx(1.25, abs=0.1)
    assert 0.5 <= gains.min() < 0.6
    assert 1.9 < gains.max() <= 2.0


def test_each_image_has_noise_of_its_own() -> None:
    batch = changed(GainAndNoise(gain_prob=0.0, noise=10.0, noise_prob=1.0))
    deviations = batch.std(dim=(1, 2, 3))
    assert 0 < deviations.min() < 1
    assert 9 < deviations.max() < 10.5
    assert len(batch[0].unique()) > 3000  # of its 3,072 pixels: channels do not share it


@pytest.mark.parametrize(("gain_prob", "noise_prob"), [(0.3, 0.0), (0.0, 0.3)])
def test_so_many_images_are_changed(gain_prob: float, noise_prob: float) -> None:
    inputs = torch.full((600, 1, 2, 3), 100.0)
    batch = changed(GainAndNoise(gain_prob=gain_prob, noise_prob=noise_prob), inputs)
    assert (batch != inputs).flatten(1).any(1).float().mean() == pytest.approx(0.3, abs=0.05)


def test_values_stay_those_of_pixels_and_padding_stays_black() -> None:
    inputs = torch.zeros(2, 3, 16, 16)
    inputs[:, 0, :10, :12], inputs[:, 1, :10, :12] = 250, 5
    samples = [DetDataSample(metainfo={"img_shape": (10, 12)}) for _ in inputs]
    torch.manual_seed(0)
    batch, same = GainAndNoise((1.0, 2.0), 1.0, 50.0, 1.0)(inputs, samples)
    assert same is samples
    assert batch.min() == 0
    assert batch.max() == 255
    assert (batch[:, 2, :10, :12] > 0).any()
    assert not batch[:, :, 10:].any()
    assert not batch[:, :, :, 12:].any()


def test_gains_do_not_exceed_white() -> None:
    batch = changed(GainAndNoise(gain=(2.0, 4.0), gain_prob=1.0, noise_prob=0.0))
    assert batch.min() >= 200
    assert batch.max() == 255


@pytest.mark.parametrize("path", MODEL_FILES, ids=lambda path: path.stem)
def test_detectors_are_augmented_in_training_alone(path: Path) -> None:
    init_default_scope("mmdet")
    preprocessor = MODELS.build(Config.fromfile(path).model.data_preprocessor)
    image = torch.full((4, 64, 100), 100, dtype=torch.uint8)
    sample = DetDataSample(metainfo={"img_shape": (64, 100)})
    sample.gt_instances = InstanceData(masks=BitmapMasks(np.zeros((0, 64, 100), np.uint8), 64, 100))

    def batch_of(training: bool) -> torch.Tensor:
        torch.manual_seed(0)
        inputs = [image] * 8
        samples = [sample.clone() for _ in inputs]
        made: torch.Tensor = preprocessor({"inputs": inputs, "data_samples": samples}, training)[
            "inputs"
        ]
        return made

    plain, augmented = batch_of(False), batch_of(True)
    assert plain[..., :64, :100].unique().numel() == 1
    assert augmented[..., :64, :100].unique().numel() > 20
    torch.testing.assert_close(augmented[..., 100:], plain[..., 100:])
    torch.testing.assert_close(batch_of(True), augmented)
