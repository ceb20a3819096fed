"""Two processes give one process's training; a killed run goes on as if nothing had been."""

import signal
import socket
from pathlib import Path

import pytest
import torch
from tiny_run import losses, start, write_config, write_data

from hpa_mmdet.cli.train import main as train
from hpa_mmdet.compat.checkpoints import load_checkpoint_strict

# One step of two images, and a fit on three, so that the processes' shares differ. Samplers
# that take every region draw nothing, so that a step is the same wherever it is computed. The
# average over steps would count the one process's two halves of a step as two.
SAME_STEP = """
_base_.train_cfg.max_epochs = 1
_base_.train_dataloader.batch_size = 1
_base_.train_dataloader.dataset.indices = [0, 1]
_base_.train_dataloader.dataset.pipeline[2].transforms = []
_base_.model.data_preprocessor.batch_augments = None
_base_.fit_dataloader.batch_size = 1
_base_.model.train_cfg.rpn.sampler.num = 100000
_base_.model.train_cfg.rcnn.sampler.num = 100000
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.1),
    clip_grad=dict(max_norm=5.0),
    accumulative_counts={images},
)
param_scheduler = None
_base_.custom_hooks = [hook for hook in _base_.custom_hooks if hook.type != "EMAHook"]
"""
# every process leaves its weights behind
KEEP_WEIGHTS = """
import torch
from hpa_mmdet.cli import train
def build(args, build=train.build_runner):
    global runner
    runner = build(args)
    return runner
train.build_runner = build
def main():
    status = train.main()
    torch.save(runner.model.module.state_dict(), f"{runner.work_dir}/rank_{runner.rank}.pt")
    return status
"""
# kill -9 after the first of the second epoch's two steps
KILL = """
import os, signal
from mmengine.hooks import Hook
from mmdet.registry import HOOKS
@HOOKS.register_module()
class KillNine(Hook):
    def after_train_iter(self, runner, *_, **__):
        if runner.iter == 2:
            os.kill(os.getpid(), signal.SIGKILL)
sys.argv += ["--cfg-options", "custom_hooks.ProgressBar.type=KillNine"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder, 3)
    return folder


def arguments(config: Path, data: Path, work_dir: Path, *options: str) -> list[str]:
    return [str(config), "--data-root", str(data), "--work-dir", str(work_dir), *options]


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def test_two_processes_give_the_training_of_one(data: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, "two", SAME_STEP.format(images=1))
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    shared["CUDA_VISIBLE_DEVICES"] = ""
    both = [
        start(
            arguments(config, data, tmp_path / "two", "--launcher", "pytorch"),
            KEEP_WEIGHTS,
            RANK=rank,
            LOCAL_RANK=rank,
            **shared,
        )
        for rank in ("0", "1")
    ]
    config = write_config(tmp_path, "one", SAME_STEP.format(images=2))
    assert train(arguments(config, data, tmp_path / "one")) == 0
    outputs = [process.communicate(timeout=3600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert ["fitted.pth IMAGES --out DIR" in output for output in outputs] == [True, False]
    for name in ("epoch_1.pth", "fitted.pth"):
        one, two = (
            load_checkpoint_strict(tmp_path / run / name)["state_dict"] for run in ("one", "two")
        )
        torch.testing.assert_close(two, one, rtol=1e-3, atol=1e-5)
    first, second = (load_checkpoint_strict(tmp_path / f"two/rank_{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert first["localization.cell_head.standardize.mean"].any()
    # the main process saw the first image of the order; one process sees it first as well
    assert losses(tmp_path / "two")[0] == pytest.approx(losses(tmp_path / "one")[0], rel=1e-4)
    assert not (tmp_path / "two" / "features").exists()


def test_a_killed_run_goes_on_with_the_curve_of_the_unbroken_one(
    data: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, "whole")
    assert train(arguments(config, data, tmp_path / "whole")) == 0
    config, work_dir = write_config(tmp_path, "parts"), tmp_path / "parts"
    process = start(arguments(config, data, work_dir), KILL)
    output, _ = process.communicate(timeout=3600)
    assert process.returncode == -signal.SIGKILL, output
    assert sorted(path.name for path in work_dir.glob("epoch_*.pth")) == ["epoch_1.pth"]
    before = losses(work_dir)
    config = write_config(tmp_path, "parts")
    assert train(arguments(config, data, work_dir, "--resume")) == 0
    unbroken, resumed = losses(tmp_path / "whole"), losses(work_dir)[len(before) :]
    assert len(unbroken) == 4
    assert before == pytest.approx(unbroken[: len(before)], rel=1e-4)
    assert resumed == pytest.approx(unbroken[2:], rel=1e-4)
    one, two = (
        load_checkpoint_strict(tmp_path / run / "fitted.pth")["state_dict"]
        for run in ("whole", "parts")
    )
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)
