"""Which weights the last stage starts from; class counts; caches in parts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import BaseLoop
from torch import nn

from hpa_mmdet.compat.processes import wrapper_config
from hpa_mmdet.fit.detector_weights import share_weights, take_best_weights
from hpa_mmdet.hooks.class_counts import MeasureClasses, count_classes
from hpa_mmdet.models import BagLoss


def line(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def runner_with(average: float | None = None, best: Path | None = None) -> Any:
    hooks: list[Any] = [CheckpointHook()]
    if average is not None:
        hooks.append(EMAHook())
        hooks[-1].ema_model = SimpleNamespace(module=line(average))
    if best is not None:
        hooks[0].best_ckpt_path = str(best)
    return SimpleNamespace(model=line(1.0), hooks=hooks)


def test_the_best_checkpoint_comes_first_then_the_average(tmp_path: Path) -> None:
    best = tmp_path / "best_cells_ap_60_epoch_3.pth"
    torch.save({"state_dict": line(3.0).state_dict()}, best)
    cases = {
        1.0: runner_with(),
        2.0: runner_with(average=2.0),
        3.0: runner_with(average=2.0, best=best),
    }
    sources = [take_best_weights(runner) for runner in cases.values()]
    assert sources == ["the last step", "the average over the steps", best.name]
    assert [runner.model.weight.item() for runner in cases.values()] == list(cases)
    gone = runner_with(average=2.0, best=tmp_path / "gone.pth")  # another run cleaned up
    assert take_best_weights(gone) == "the average over the steps"


def test_one_of_several_best_checkpoints_is_taken(tmp_path: Path) -> None:
    torch.save({"state_dict": line(3.0).state_dict()}, tmp_path / "second.pth")
    runner = runner_with()
    runner.hooks[0].best_ckpt_path_dict = {"a": None, "b": str(tmp_path / "second.pth")}
    assert take_best_weights(runner) == "second.pth"


def test_what_was_fitted_goes_into_the_average() -> None:
    runner = runner_with(average=2.0)
    share_weights(runner)
    assert runner.hooks[1].ema_model.module.weight.item() == 1.0
    assert runner.model.weight.item() == 1.0


class Labelled:
    """A data set of image labels alone."""

    metainfo: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, labels: list[list[int]]) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def full_init(self) -> None:
        """Have nothing to read."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"image_labels": self.labels[index]}


class Loop(BaseLoop):  # type: ignore[misc]
    """A training loop that has a data set."""

    def run(self) -> None:
        """Do nothing."""


LABELS = [[0, 3], [3], [3, 18, 3], []]


def test_images_of_each_class_are_counted_once() -> None:
    counts = count_classes(Labelled(LABELS))
    assert counts.tolist() == [1, 0, 0, 3, *[0] * 14, 1]
    repeated = SimpleNamespace(dataset=Labelled(LABELS))
    assert torch.equal(count_classes(repeated), counts)


@pytest.mark.parametrize("balance", [0.5, None])
def test_losses_that_weigh_classes_are_told_the_counts(balance: float | None) -> None:
    loss = BagLoss(balance=balance)
    branch = SimpleNamespace(loss_localization=loss)
    loop = Loop.__new__(Loop)
    loop.dataloader = SimpleNamespace(dataset=Labelled(LABELS))
    runner = SimpleNamespace(model=SimpleNamespace(localization=branch), _train_loop=loop)
    HOOKS.build({"type": "MeasureClasses"}).before_run(runner)
    if balance is None:
        assert loss.class_weight is None
    else:  # of one image 1, of three 4 / 7 as much
        ratio = loss.class_weight[3] / loss.class_weight[0]
        assert ratio.item() == pytest.approx(4 / 7)


def test_without_names_or_training_nothing_is_counted() -> None:
    hook = MeasureClasses()
    hook.before_run(SimpleNamespace(model=nn.Linear(1, 1), _train_loop=None))
    loss = BagLoss(balance=0.5)
    model = SimpleNamespace(localization=SimpleNamespace(loss_localization=loss))
    hook.before_run(SimpleNamespace(model=model, _train_loop={"type": "a config"}))
    assert loss.class_weight is None


def test_what_a_config_says_of_the_wrapper_stands() -> None:
    config = wrapper_config({"find_unused_parameters": False, "static_graph": True})
    assert config["find_unused_parameters"] is False
    assert config["static_graph"] is True
    assert wrapper_config(None)["find_unused_parameters"] is True
