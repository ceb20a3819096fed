"""Configs that fit heads on embeddings: SubCell's, or those of another network."""

from pathlib import Path

import pytest
from mmdet.registry import LOOPS, MODELS
from mmengine.config import Config

import hpa_mmdet.fit  # noqa: F401
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.download.subcell import CHANNEL_SETS, classifier_files, encoder_file

CONFIGS = Path(__file__).parents[2] / "configs/embeddings"
EXPERIMENTS = sorted(path.name for path in CONFIGS.glob("*.py"))
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def read(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_builds_and_all_parts_agree_on_the_crops(name: str) -> None:
    config = read(name)
    fit = config.train_cfg.fit
    loaders = [config.train_dataloader, fit.dataloader, *fit.get("more_dataloaders", [])]
    cut = config.model.data_preprocessor.crop.to_dict()
    assert all(loader.dataset.crop.to_dict() == cut for loader in loaders)
    assert LOOPS.get(config.train_cfg.type) is not None
    assert config.train_cfg.max_epochs == 0
    model = MODELS.build(config.model)
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_subcell_sees_crops_as_it_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBCELL_DIR", "/weights")
    config = read("subcell_zero-shot.py")
    options = CropOptions.from_dict(config.model.data_preprocessor.crop.to_dict())
    assert (options.window_px, options.size_px, options.grow_px) == (1024, 448, 7)
    assert options.linear
    assert options.blank
    preprocessor = config.model.data_preprocessor
    assert tuple(preprocessor.channels) == CHANNEL_SETS["all_channels"]
    assert (preprocessor.root, preprocessor.mean, preprocessor.std) == (False, 0.0, 1.0)
    files = [encoder_file("all_channels"), *classifier_files("all_channels")]
    weights = [config.model.backbone.weights, *config.model.localization.weights]
    assert weights == [f"/weights/{file.name}" for file in files]
    half = CropOptions.from_dict({**options.to_dict(), "pixel_um": 0.16})
    assert (half.window_px, half.grow_px) == (512, 4)
