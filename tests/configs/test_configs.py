"""Every shipped config loads, builds its model and its loops."""

import re
from pathlib import Path

import pytest
from mmdet.registry import HOOKS, LOOPS, METRICS, MODELS
from mmengine.config import Config

import hpa_mmdet.evaluation
import hpa_mmdet.fit
import hpa_mmdet.hooks  # noqa: F401

CONFIGS = Path(__file__).parents[2] / "configs"
EXPERIMENTS = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in (CONFIGS / "mask_rcnn").glob("*.py")  # crops: test_crop_configs.py
)
DEMO = "mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"
REAL = "mask_rcnn/hpa-mask-rcnn_r50_fpn_bag-lse_1x_hpa.py"
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def without_weights(config: Config) -> Config:
    for backbone in (
        config.model.backbone,
        (config.model.get("localization") or {}).get("backbone"),
    ):
        if backbone is not None and "weights" in backbone:
            backbone.weights = None
    return config


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_builds(name: str) -> None:
    config = without_weights(Config.fromfile(CONFIGS / name))
    model = MODELS.build(config.model)
    model.init_weights()
    assert sum(weight.numel() for weight in model.parameters()) > 100_000
    if config.train_cfg.type == "DetectThenFitLoop":
        ann_file = config.train_cfg.fit.dataloader.dataset.ann_file
        assert ann_file.endswith(("/train.json", "/train_refined.json", "/train_train.json"))
        assert LOOPS.get(config.train_cfg.type) is not None


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_states_differences_only(name: str) -> None:
    assert len((CONFIGS / name).read_text().splitlines()) <= 40


def test_data_root_reaches_every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPA_DATA", "/somewhere/else")
    for name, loaders in ((DEMO, 2), (REAL, 4)):
        text = Config.fromfile(CONFIGS / name).pretty_text
        found = re.findall(r"ann_file='(.*?)'", text)
        assert len(found) >= loaders
        assert all(path.startswith("/somewhere/else/train") for path in found)
        assert "data/hpa" not in text


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name.endswith("_1x_hpa.py")])
def test_real_experiments_are_validated_on_other_images(name: str) -> None:
    config = Config.fromfile(CONFIGS / name)
    assert config.train_dataloader.dataset.ann_file.endswith("/train_train.json")
    assert config.train_cfg.fit.dataloader.dataset.ann_file.endswith("/train_train.json")
    chosen_on = config.train_cfg.fit.exponents_dataloader.dataset
    for dataset in (config.val_dataloader.dataset, chosen_on):
        assert dataset.ann_file.endswith("/train_val.json")
    assert config.val_dataloader.dataset.test_mode
    metrics = [METRICS.build(dict(metric)) for metric in config.val_evaluator]
    assert {metric.ann_file for metric in metrics} == {config.val_dataloader.dataset.ann_file}
    hooks = {hook.type: hook for hook in config.custom_hooks}
    assert config.default_hooks.checkpoint.save_best == hooks["EarlyStoppingHook"].monitor
    assert hooks["PredictionPictures"].dataset == config.val_dataloader.dataset
    assert config.optim_wrapper.clip_grad.max_norm > 0
    warm_up, cosine = config.param_scheduler
    assert warm_up.type == "LinearLR"
    assert warm_up.end > 0
    assert cosine.type == "CosineAnnealingLR"
    assert cosine.T_max == config.train_cfg.max_epochs
    for hook in config.custom_hooks:
        HOOKS.build(dict(hook))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_boxes_stay_exact_under_mixed_precision(name: str) -> None:
    roi_head = Config.fromfile(CONFIGS / name).model.roi_head
    for extractor in (roi_head.bbox_roi_extractor, roi_head.mask_roi_extractor):
        assert extractor.type == "FloatRoIExtractor"
