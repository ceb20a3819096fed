"""Every config of a crop classifier builds, agrees with itself, and learns something."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import LOOPS, METRICS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData

import hpa_mmdet.evaluation
import hpa_mmdet.fit
import hpa_mmdet.hooks  # noqa: F401

CONFIGS = Path(__file__).parents[2] / "configs/crops"
EXPERIMENTS = sorted(path.name for path in CONFIGS.glob("*.py"))
VALIDATED = [name for name in EXPERIMENTS if name.endswith("_1x_hpa.py")]
LADDER = [name for name in EXPERIMENTS if name.startswith("ladder_")]
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def read(name: str) -> Config:
    config = Config.fromfile(CONFIGS / name)
    if "weights" in config.model.backbone:
        config.model.backbone.weights = None
    return config


def batch(size: int) -> dict[str, list[object]]:
    """Two bags of two crops."""
    bags, samples = [], []
    for image in range(2):
        sample = DetDataSample(
            metainfo={"image_labels": torch.eye(19)[image].numpy(), "labels_are_exact": False}
        )
        sample.gt_instances = InstanceData(localizations=torch.eye(19)[[image, image]])
        bags.append(torch.randint(0, 255, (2, size, size, 5), dtype=torch.uint8))
        samples.append(sample)
    return {"inputs": bags, "data_samples": samples}


def test_there_are_the_networks_and_the_seven_rungs() -> None:
    assert len(LADDER) == 7
    assert len(VALIDATED) == 3


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_builds_and_takes_a_step(name: str) -> None:
    config = read(name)
    model = MODELS.build(config.model)
    model.init_weights()
    assert LOOPS.get(config.train_cfg.type) is not None
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    rates = {group["lr"] for group in optimizer.param_groups}
    if name not in LADDER:  # the backbone's stages learn at lower rates than the heads
        assert min(rates) < 0.1 * max(rates)
        assert len(rates) >= 4
    torch.manual_seed(0)
    losses = model.train_step(batch(config.model.data_preprocessor.crop.size_px), optimizer)
    assert torch.isfinite(losses["loss"])
    assert losses["loss"] > 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_all_parts_agree_on_how_crops_are_cut(name: str) -> None:
    config = read(name)
    fit = config.train_cfg.fit
    loaders = [config.train_dataloader, fit.dataloader, *fit.get("more_dataloaders", [])]
    loaders += [config.val_dataloader] if config.get("val_dataloader") else []
    cut = config.model.data_preprocessor.crop.to_dict()
    assert all(loader.dataset.crop.to_dict() == cut for loader in loaders)
    assert len((CONFIGS / name).read_text().splitlines()) <= 40


@pytest.mark.parametrize("name", VALIDATED)
def test_large_experiments_are_validated_on_other_images(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPA_DATA", "/somewhere/else")
    config = read(name)
    trained_on = {
        config.train_dataloader.dataset.store,
        config.train_cfg.fit.dataloader.dataset.store,
    }
    assert trained_on == {"/somewhere/else/train_train_crops"}
    assert config.val_dataloader.dataset.store == "/somewhere/else/train_val_crops"
    chosen_on = config.train_cfg.fit.exponents_dataloader.dataset
    assert chosen_on.store == config.val_dataloader.dataset.store
    metrics = [METRICS.build(dict(metric)) for metric in config.val_evaluator]
    assert {metric.ann_file for metric in metrics} == {"/somewhere/else/train_val.json"}
    hooks = {hook.type: hook for hook in config.custom_hooks}
    assert config.default_hooks.checkpoint.save_best == hooks["EarlyStoppingHook"].monitor


def test_the_rungs_differ_from_the_first_one() -> None:
    models = [read(name).model.to_dict() for name in LADDER]
    assert all(models[0] != model for model in models[1:])
    assert len({str(model) for model in models}) == len(models)
