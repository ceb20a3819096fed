"""Training by several processes, with GPUs or without."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import distributed, nn

from hpa_mmdet.errors import InputError

_SET_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def join_processes(launcher: str, dist_config: Mapping[str, Any]) -> None:
    """Check the launcher; without a GPU join the other processes through gloo.

    mmengine joins them itself where there is a GPU. Its own way asks for one.

    Args:
        launcher: pytorch, slurm or mpi.
        dist_config: mmengine's `env_cfg.dist_cfg`; its `timeout`, in seconds, is used.

    Raises:
        InputError: the launcher did not start this process, or cannot do without a GPU.
    """
    if launcher == "pytorch":
        lacking = [name for name in _SET_BY_TORCHRUN if name not in os.environ]
        if lacking:
            raise InputError(
                "--launcher pytorch",
                f"no {', '.join(lacking)} in the environment",
                "what torchrun sets",
                "run torchrun --nproc-per-node GPUS tools/train.py CONFIG --launcher pytorch",
            )
    if torch.cuda.is_available():
        return
    if launcher != "pytorch":
        raise InputError(
            f"--launcher {launcher}",
            "no GPU",
            "one for each process",
            "start torchrun on each machine and give --launcher pytorch",
        )
    distributed.init_process_group(
        "gloo", timeout=timedelta(seconds=dist_config.get("timeout", 1800))
    )


def leave_processes() -> None:
    """Take this process out of the group; without it some abort when they end."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def wrapper_config(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Complete the config of the wrapper that averages gradients over processes.

    Heads that only the decoupled fit trains get no gradient in the detector's steps, which
    torch must be told.

    Args:
        given: mmengine's `model_wrapper_cfg`; what it says stands.
    """
    config = {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": True,
        **(given or {}),
    }
    if not torch.cuda.is_available():
        config["device_ids"] = None  # torch wants none for a model on the CPU
    return config


def bare_model(runner: Any) -> nn.Module:
    """Take the model out of the wrapper that distributed training puts around it."""
    model: nn.Module = runner.model
    return model.module if is_model_wrapper(model) else model  # type: ignore[return-value]
