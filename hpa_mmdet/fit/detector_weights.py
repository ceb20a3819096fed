"""Which of the detector's weights go into the last stage, and that they stay together.

A run holds the detector up to three times: as it was after the last step, averaged over
the steps (mmengine's EMAHook), and in the checkpoint that did best on validation
(CheckpointHook's `save_best`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import CheckpointHook, EMAHook
from torch import nn

from hpa_mmdet.compat.checkpoints import load_checkpoint_strict
from hpa_mmdet.compat.processes import bare_model


def take_best_weights(runner: Any) -> str:
    """Put into the model what the localization heads are to be fitted beside.

    That is the best checkpoint, else the averaged weights, else the model as it is. All
    processes then hold the same.

    Args:
        runner: mmengine's, after the detector's last step.

    Returns:
        Where the weights came from, for the log.
    """
    model, source = bare_model(runner), "the last step"
    for hook in _hooks(runner, EMAHook):
        model.load_state_dict(hook.ema_model.module.state_dict())
        source = "the average over the steps"
    best = best_checkpoint(runner)
    if best is not None:
        if is_main_process():
            model.load_state_dict(load_checkpoint_strict(best)["state_dict"])
        source = best.name
    send_weights(model)
    return source


def share_weights(runner: Any) -> None:
    """Copy the main process's model to the other processes, and to the average.

    Else the averaged copy, whose heads were never fitted, would be validated and saved.
    """
    model = bare_model(runner)
    send_weights(model)
    for hook in _hooks(runner, EMAHook):
        hook.ema_model.module.load_state_dict(model.state_dict())


def send_weights(model: nn.Module) -> None:
    """Copy the main process's parameters and buffers to the other processes."""
    for tensor in model.state_dict().values():
        broadcast(tensor)


def best_checkpoint(runner: Any) -> Path | None:
    """Find the checkpoint that did best on validation, where one is kept and still there."""
    for hook in _hooks(runner, CheckpointHook):
        several = list(getattr(hook, "best_ckpt_path_dict", {}).values())
        for path in (getattr(hook, "best_ckpt_path", None), *several):
            if path and Path(path).is_file():
                return Path(path)
    return None


def _hooks(runner: Any, kind: type) -> Iterator[Any]:
    return (hook for hook in runner.hooks if isinstance(hook, kind))
