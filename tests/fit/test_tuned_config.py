"""The config that tunes the network which names cells: its rates, its stages, its memory."""

import secrets
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

import hpa_mmdet.fit  # noqa: F401
from hpa_mmdet.cli.train import main
from hpa_mmdet.models import TimmFeatures

sys.path.insert(0, str(Path(__file__).parents[1] / "hooks"))
import tiny_run

TUNED = tiny_run.CONFIGS / "mask_rcnn/hpa-mask-rcnn_r50_fpn_bag-lse_tuned_1x_hpa.py"


def test_epochs_are_judged_by_image_labels() -> None:
    config = Config.fromfile(TUNED)
    stops = [hook.monitor for hook in config.custom_hooks if hook.type == "EarlyStoppingHook"]
    assert stops == [config.default_hooks.checkpoint.save_best] == ["image/map"]


@pytest.mark.usefixtures("mmdet_scope")
def test_rates_fall_from_the_heads_to_the_first_layers() -> None:
    config = Config.fromfile(TUNED)
    for backbone in (config.model.backbone, config.model.localization.backbone):
        backbone.update(model_name="resnet18", weights=None)
    config.model.neck.in_channels = [64, 128, 256, 512]
    config.model.localization.feature_dim = 2 * (64 + 128 + 256 + 512)
    model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    names = {id(weight): name for name, weight in model.named_parameters()}
    rates = {names[id(group["params"][0])]: group["lr"] for group in optimizer.param_groups}
    assert len(rates) == len(names)
    branch = "localization.backbone.network"
    layers = ("conv1", "layer3.0.conv1", "layer4.0.conv1")
    first, third, last = (rates[f"{branch}.{layer}.weight"] for layer in layers)
    heads = {rate for name, rate in rates.items() if name.startswith("localization.cell_head")}
    assert first < third < last < min(heads)
    assert rates["backbone.network.conv1.weight"] == config.optim_wrapper.optimizer.lr


def _tune_discs(tmp_path: Path, changes: str = "") -> tuple[Path, str]:
    """Tune a tiny network with the config's settings; give the work dir and the log."""
    tiny_run.write_data(tmp_path)
    config = tmp_path / "tuned.py"
    text = f'_base_ = ["{TUNED}"]\n{tiny_run.TINY}del part\n'
    text += "for part in (_base_.model.backbone, _base_.model.localization.backbone):\n"
    text += "    part.out_indices = (1, 2, 3, 4)\n"
    text += "_base_.train_dataloader.dataset.pipeline[2].prob = 0.5\ndel part\n"
    text += "_base_.train_cfg.max_epochs = _base_.param_scheduler[1].T_max = 1\n"
    text += "_base_.model.train_cfg.rcnn.sampler.num = 16\n"
    text += "_base_.model.train_cfg.rpn_proposal.max_per_img = 50\n"
    text += "_base_.model.test_cfg.rpn.max_per_img = 10\n"
    run = f"run_{secrets.token_hex(4)}"
    text += f'_base_.visualizer.name = "{run}"\nexperiment_name = "{run}"\n{changes}'
    config.write_text(text)
    work_dir = tmp_path / "work"
    assert main([str(config), "--data-root", str(tmp_path), "--work-dir", str(work_dir)]) == 0
    return work_dir, next(work_dir.glob("*/*.log")).read_text()


def test_tuning_that_betters_nothing_is_thrown_away(tmp_path: Path) -> None:
    work_dir, log = _tune_discs(tmp_path, "_base_.optim_wrapper.optimizer.lr = 0.0\n")
    assert "Epoch(train) [1]" in log
    assert "kept: best_image_map_epoch_0.pth" in log
    assert log.count("fitted in") == 1
    assert (work_dir / "fitted.pth").is_file()


def test_heads_are_fitted_then_all_is_tuned_then_they_are_fitted_again(tmp_path: Path) -> None:
    work_dir, log = _tune_discs(tmp_path, "del _base_.default_hooks.checkpoint.save_best\n")
    order = [log.index(words) for words in ("fitted in", "Epoch(train) [1]", "kept:")]
    assert order == sorted(order)
    assert log.rindex("fitted in") > order[-1]
    assert "loss_localization" in log
    optimizer = torch.load(work_dir / "epoch_1.pth", weights_only=True)["optimizer"]
    rate = Config.fromfile(TUNED).optim_wrapper.optimizer.lr
    tuned = [
        group["params"][0]
        for group in optimizer["param_groups"]
        if group["initial_lr"] == pytest.approx(0.1 * rate)
    ]
    assert len(tuned) > 10
    assert all(bool(optimizer["state"][place]["exp_avg"].any()) for place in tuned)
    assert (work_dir / "fitted.pth").is_file()


def test_checkpointing_changes_no_gradient() -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = TimmFeatures("resnet18", channels=(1,), checkpointing=checkpointing).train()
        torch.manual_seed(1)
        maps = model(torch.rand(2, 4, 64, 96))
        sum(feature_map.square().mean() for feature_map in maps).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    plain, checkpointed = gradients
    assert float(plain["network.conv1.weight"].abs().sum()) > 0
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient)
