"""HpaRunner: a resumed run goes on as the unbroken one, from whole checkpoints only."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpa_mmdet.compat import prepare
from hpa_mmdet.compat.checkpoints import load_checkpoint_strict
from hpa_mmdet.compat.plain import from_plain_hub, to_plain
from hpa_mmdet.errors import InputError

prepare()

from mmengine.hooks import Hook  # noqa: E402
from mmengine.logging import HistoryBuffer  # noqa: E402
from mmengine.model import BaseModel  # noqa: E402
from mmengine.registry import RUNNERS  # noqa: E402
from torch.utils.data import Dataset  # noqa: E402

from hpa_mmdet.compat.runner import HpaRunner, find_checkpoints, seed_worker  # noqa: E402


class NoisyToy(BaseModel):
    """A line fitted with dropout and momentum, so that every random state counts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        noisy = torch.nn.functional.dropout(torch.stack(inputs), 0.3)
        guess = self.layer(noisy)[:, 0]
        if mode != "loss":
            return guess
        return {"loss": ((guess - torch.stack(data_samples)) ** 2).mean()}


class NoisyPoints(Dataset):  # type: ignore[type-arg]
    """Seven points, seen through numpy's global generator as augmentations use it."""

    metainfo = {"classes": ("a", "b"), "palette": np.arange(6).reshape(2, 3)}  # noqa: RUF012

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        point = torch.tensor([index, index**2, 1.0]) / 10
        jitter = float(np.random.rand())  # noqa: NPY002
        return {"inputs": point + jitter, "data_samples": 2 * point.sum()}


def build_runner(work_dir: Path, *, epochs: int = 4, workers: int = 0, **options: Any) -> HpaRunner:
    """A run of two or three batches an epoch, saved after each."""
    name = f"{work_dir.name}-{len(list(work_dir.glob('*'))) if work_dir.exists() else 0}"
    return HpaRunner(
        model=NoisyToy(),
        work_dir=str(work_dir),
        train_dataloader={
            "dataset": NoisyPoints(),
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "batch_size": 3,
            "num_workers": workers,
        },
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.05, "momentum": 0.9}},
        param_scheduler=[{"type": "CosineAnnealingLR", "T_max": 4, "by_epoch": True}],
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": 1},
            "checkpoint": {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 3},
        },
        custom_hooks=[{"type": "EMAHook"}],
        randomness={"seed": 5},
        experiment_name=f"{name}-{np.random.default_rng().integers(2**60)}",
        log_level="WARNING",
        **options,
    )


class Killed(Exception):
    """Stands for kill -9."""


class KillHook(Hook):  # type: ignore[misc]
    """Ends a run in the middle of its third epoch."""

    def after_train_iter(self, runner: HpaRunner, *_: object, **__: object) -> None:
        if runner.iter == 7:
            raise Killed


def train_until_killed(work_dir: Path, workers: int = 0) -> None:
    runner = build_runner(work_dir, workers=workers)
    runner.register_hook(KillHook())
    with pytest.raises(Killed):
        runner.train()


def test_memory_may_go_back_after_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    built = build_runner(tmp_path, epochs=2)
    target = "hpa_mmdet.compat.runner.give_back_where_scarce"
    monkeypatch.setattr(target, lambda: calls.append(built.iter))
    built.train()
    assert len(calls) == built.max_iters > 2


def losses_of(runner: HpaRunner) -> list[float]:
    return [float(value) for value in runner.message_hub.get_scalar("train/loss").data[0]]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_run_has_the_curve_of_the_unbroken_one(workers: int, tmp_path: Path) -> None:
    unbroken = build_runner(tmp_path / "whole", workers=workers)
    unbroken.train()
    train_until_killed(tmp_path / "parts", workers)
    torch.manual_seed(123)  # whatever was drawn in between
    second = build_runner(tmp_path / "parts", workers=workers, resume=True)
    second.train()
    assert second.epoch == unbroken.epoch == 4
    assert len(losses_of(unbroken)) == 12
    assert losses_of(second) == losses_of(unbroken)  # its first half out of the checkpoint
    torch.testing.assert_close(
        second.model.state_dict(), unbroken.model.state_dict(), rtol=0, atol=0
    )


def test_epochs_draw_different_numbers_in_workers(tmp_path: Path) -> None:
    runner = build_runner(tmp_path, workers=1)
    jitters = []
    for epoch in range(2):
        runner.train_loop._epoch = epoch
        runner._seed_epoch()
        jitters.append(
            [float(pixel) for batch in runner.train_dataloader for pixel in batch["inputs"][0]]
        )
    assert jitters[0] != jitters[1]


def test_a_worker_is_seeded_by_torch_and_its_rank() -> None:
    drawn = []
    for rank in (0, 0, 1):
        torch.manual_seed(9)
        seed_worker(0, rank=rank)
        drawn.append(np.random.rand())  # noqa: NPY002
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_checkpoint_is_plain_and_registered(tmp_path: Path) -> None:
    assert RUNNERS.get("HpaRunner") is HpaRunner
    build_runner(tmp_path, epochs=1).train()
    checkpoint = load_checkpoint_strict(tmp_path / "epoch_1.pth")
    history = checkpoint["message_hub"]["log_scalars"]["train/loss"]["history_buffer"]
    assert (len(history[0]), history[1], history[2]) == (3, [1, 1, 1], 1000000)
    assert checkpoint["meta"]["dataset_meta"]["classes"] == ("a", "b")
    leftovers = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert not leftovers


def test_no_compiler_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sysconfig.get_config_var", lambda _: "no-such-compiler")
    build_runner(tmp_path)
    assert "no-such-compiler" not in capfd.readouterr().err
    (found,) = tmp_path.rglob("environment.json")
    assert json.loads(found.read_text())["GCC"] == "n/a"


def test_a_run_that_dies_while_saving_leaves_the_older_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = build_runner(tmp_path, epochs=1)
    runner.train()
    before = (tmp_path / "epoch_1.pth").read_bytes()

    def half_written(_content: object, target: Any) -> None:
        target.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half_written)
    with pytest.raises(OSError, match="no space left"):
        runner.save_checkpoint(str(tmp_path), "epoch_1.pth")
    assert (tmp_path / "epoch_1.pth").read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp.pth"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def test_a_truncated_newest_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_until_killed(tmp_path / "parts")
    cut(tmp_path / "parts" / "epoch_2.pth")
    resumed = build_runner(tmp_path / "parts", resume=True)
    resumed.logger.addHandler(caplog.handler)
    resumed.train()
    assert "epoch_2.pth: found a truncated file" in caplog.text
    assert "Trying the checkpoint before it" in caplog.text
    unbroken = build_runner(tmp_path / "whole")
    unbroken.train()
    assert losses_of(resumed) == losses_of(unbroken)


def test_resuming_from_truncated_checkpoints_alone_is_refused(tmp_path: Path) -> None:
    build_runner(tmp_path, epochs=2).train()
    for path in tmp_path.glob("*.pth"):
        cut(path)
    with pytest.raises(
        InputError, match="found 2 checkpoints, all truncated, expected a whole one"
    ):
        build_runner(tmp_path, resume=True).train()


def test_resuming_in_an_empty_folder_starts_anew(tmp_path: Path) -> None:
    runner = build_runner(tmp_path, epochs=1, resume=True)
    runner.train()
    assert runner.epoch == 1


def test_a_checkpoint_asked_for_by_name_is_not_replaced(tmp_path: Path) -> None:
    build_runner(tmp_path, epochs=2).train()
    cut(tmp_path / "epoch_2.pth")
    named = build_runner(tmp_path, resume=True, load_from=str(tmp_path / "epoch_2.pth"))
    with pytest.raises(InputError, match=r"epoch_2\.pth: found a truncated file"):
        named.train()


@pytest.mark.parametrize(
    ("pointer", "wanted"),
    [
        pytest.param(
            "runs/epoch_2.pth", [2, 1], id="a moved folder; later ones are of an older run"
        ),
        pytest.param("", [10, 2, 1], id="killed while the pointer was written"),
        pytest.param(None, [10, 2, 1], id="no pointer"),
        pytest.param("epoch_9.pth", [10, 2, 1], id="points to a file that is gone"),
    ],
)
def test_checkpoints_are_listed_newest_first(
    pointer: str | None, wanted: list[int], tmp_path: Path
) -> None:
    for number in (1, 2, 10):
        (tmp_path / f"epoch_{number}.pth").touch()
    (tmp_path / "best_map_epoch_2.pth").touch()
    if pointer is not None:
        (tmp_path / "last_checkpoint").write_text(pointer)
    assert find_checkpoints(tmp_path) == [tmp_path / f"epoch_{number}.pth" for number in wanted]


def test_a_last_stage_without_a_number_comes_first(tmp_path: Path) -> None:
    for name in ("epoch_1.pth", "epoch_2.pth", "fitted.pth"):
        (tmp_path / name).touch()
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "fitted.pth"))
    assert [path.stem for path in find_checkpoints(tmp_path)] == ["fitted", "epoch_2", "epoch_1"]


def test_plain_state_keeps_values_and_says_what_it_drops(caplog: pytest.LogCaptureFixture) -> None:
    state = {
        "log_scalars": {"loss": HistoryBuffer([1.0, 2.0], [1, 3], max_length=9)},
        "runtime_info": {
            "lr": np.float32(0.5),
            "pair": (1, np.int64(2)),
            "hook": print,
            "set": {4},
        },
    }
    with caplog.at_level(logging.WARNING):
        plain = to_plain(state, "hub")
    assert plain["runtime_info"] == {"lr": 0.5, "pair": (1, 2), "set": [4]}
    assert type(plain["runtime_info"]["lr"]) is float
    back = from_plain_hub(plain)["log_scalars"]["loss"]
    assert [values.tolist() for values in back.data] == [[1.0, 2.0], [1, 3]]
    assert (back.max_length, back.mean()) == (9, 3 / 4)


def test_the_environment_stands_beside_the_log_and_not_in_it(tmp_path: Path) -> None:
    runner = build_runner(tmp_path, epochs=1)
    runner.train()
    files = list(tmp_path.glob("*/environment.json"))
    assert len(files) == 1
    environment = json.loads(files[0].read_text())
    assert environment["PyTorch"] == torch.__version__
    assert environment["seed"] == runner._randomness_cfg["seed"]
    log = "".join(path.read_text() for path in tmp_path.glob("*/*.log"))
    assert "System environment" not in log
