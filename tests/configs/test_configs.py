"""Every shipped config loads, builds its model and its loops."""

from pathlib import Path

import pytest
from mmdet.registry import LOOPS, MODELS
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / "configs"
EXPERIMENTS = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob("*.py")
    if "_base_" not in path.parts
)
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
    assert sum(each.numel() for each in model.parameters()) > 100_000
    if config.train_cfg.type == "DetectThenFitLoop":
        ann_file = config.train_cfg.fit.dataloader.dataset.ann_file
        assert ann_file.endswith(("/train.json", "/train_refined.json"))
        assert LOOPS.get(config.train_cfg.type) is not None


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_states_differences_only(name: str) -> None:
    assert len((CONFIGS / name).read_text().splitlines()) <= 40


def test_data_root_reaches_every_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPA_DATA", "/somewhere/else")
    config = Config.fromfile(CONFIGS / EXPERIMENTS[0])
    for loader in (config.train_dataloader, config.train_cfg.fit.dataloader):
        assert loader.dataset.ann_file == "/somewhere/else/train.json"
        assert loader.dataset.data_prefix.img == "/somewhere/else/train"
