"""mmengine's Runner with checkpoints that are whole, loadable and resumable."""

import json
import logging
import os
import random
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, is_distributed, is_main_process
from mmengine.logging import print_log
from mmengine.registry import DATASETS, FUNCTIONS, RUNNERS
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.utils import set_random_seed
from mmengine.utils.dl_utils import collect_env
from torch import nn

from hpa_mmdet.compat.checkpoints import BrokenFileError
from hpa_mmdet.compat.configs import config_errors
from hpa_mmdet.compat.memory import give_back_where_scarce
from hpa_mmdet.compat.plain import from_plain_hub, to_plain
from hpa_mmdet.compat.processes import bare_model, join_processes, wrapper_config
from hpa_mmdet.compat.shared_memory import ANSWER_S, advice, bytes_of_batch, fitting_workers
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path

_EPOCH_SEED_STRIDE = 1_000_003  # a prime, so that seeds of nearby runs do not meet


@RUNNERS.register_module()
class HpaRunner(Runner):
    """A Runner whose checkpoints survive being killed and load strictly.

    Over mmengine's: a checkpoint is written beside its name and renamed, so that its name
    never stands for half a file; it holds plain values and tensors only; resuming skips a
    truncated newest checkpoint; and every epoch starts from random states that follow from
    the seed and the epoch alone, so that a resumed run goes on as the unbroken one.
    """

    @staticmethod
    def build_dataloader(dataloader: Any, *args: Any, **kwargs: Any) -> Any:
        """Build a loader whose workers draw anew in each epoch and have room for their batches.

        See `seed_worker` and `hpa_mmdet.compat.shared_memory`.
        """
        if isinstance(dataloader, dict):
            with config_errors("a data loader of the config"):
                return Runner.build_dataloader(_completed(dataloader), *args, **kwargs)
        return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """Build the training loop; a mistake of the config is an `InputError`."""
        with config_errors("train_cfg of the config"):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: Any) -> BaseLoop:
        """Build the validation loop; a mistake of the config is an `InputError`."""
        with config_errors("val_cfg of the config"):
            return super().build_val_loop(loop)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build the optimizer; a mistake of the config is an `InputError`."""
        with config_errors("optim_wrapper of the config"):
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """Build the schedules; a mistake of the config is an `InputError`."""
        with config_errors("param_scheduler of the config"):
            return super().build_param_scheduler(scheduler)

    def build_evaluator(self, evaluator: Any) -> Any:
        """Build the metrics, which gather their results without files.

        mmengine's way is a folder .dist_test in the current one, which machines may not share.
        """
        with config_errors("val_evaluator of the config"):
            built = super().build_evaluator(evaluator)
        for metric in built.metrics:
            metric.collect_device = "gpu"  # mmengine's name; gloo gathers in host memory
        return built

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set the environment up; several processes need no GPU."""
        if self.distributed and not is_distributed():
            join_processes(self.launcher, env_cfg.get("dist_cfg", {}))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Move the model to its device and, for several processes, wrap it."""
        config = wrapper_config(model_wrapper_cfg) if self.distributed else model_wrapper_cfg
        wrapped: nn.Module = super().wrap_model(config, model)
        return wrapped

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint in one step; the arguments are mmengine's."""
        if not is_main_process() or "://" in str(out_dir):
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        with atomic_path(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())  # the bytes before the name, should power fail

    def get_hooks_info(self) -> str:
        """Name the hooks in one line; mmengine lists them once for each of 14 stages."""
        return ", ".join(type(hook).__name__ for hook in self.hooks)

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """Write the environment beside the log; mmengine puts it and the config on the screen.

        The config itself is written to the work dir by `dump_config`.
        """
        if is_main_process():
            path = Path(self._log_dir) / "environment.json"
            with _standard_error_shut():  # it asks a shell for a compiler, which may be missing
                found = collect_env()
            with atomic_path(path) as temporary:
                environment = {**found, **self._randomness_cfg, **env_cfg}
                temporary.write_text(json.dumps(environment, indent=1, default=str))
        self.logger.info(f"Logs: {self._log_dir} (with the environment); seed {self.seed}")

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call a stage's hooks; keep checkpoints plain, epochs seeded, memory in bounds.

        A training loop's `checkpoint_meta()` goes into the `meta` of every checkpoint.

        Raises:
            InputError: nothing of a loaded checkpoint fits the model.
        """
        if fn_name == "after_load_checkpoint":
            checkpoint = kwargs["checkpoint"]
            if "message_hub" in checkpoint:
                checkpoint["message_hub"] = from_plain_hub(checkpoint["message_hub"])
            where = self._load_from or self.work_dir
            self.logger.info(_fitting(bare_model(self), checkpoint, where))
        if fn_name == "before_train_epoch":
            self._seed_epoch()
        super().call_hook(fn_name, **kwargs)
        if fn_name in ("after_train_iter", "after_val_iter", "after_test_iter"):
            give_back_where_scarce()
        if fn_name == "before_save_checkpoint":
            checkpoint = kwargs["checkpoint"]
            about = getattr(self._train_loop, "checkpoint_meta", None)
            if about is not None:
                checkpoint["meta"].update(about())
            for key in ("meta", "message_hub", "param_schedulers"):
                if key in checkpoint:
                    checkpoint[key] = to_plain(checkpoint[key], f"checkpoint {key}")

    _has_loaded: bool  # set by mmengine's constructor

    def load_or_resume(self) -> None:
        """Load or resume as asked; a truncated newest checkpoint gives way to the one before.

        Raises:
            InputError: there are checkpoints to resume from, but none is whole.
        """
        if self._has_loaded or not self._resume or self._load_from is not None:
            super().load_or_resume()
            return
        candidates = find_checkpoints(Path(self.work_dir))
        if not candidates:
            self.logger.info(f"No checkpoint in {self.work_dir} to resume from: from the start.")
            return
        for path in candidates:
            try:
                self.resume(str(path))
            except BrokenFileError as error:
                self.logger.warning(f"{error}. Trying the checkpoint before it.")
            else:
                self._has_loaded = True
                return
        raise InputError(
            self.work_dir,
            f"{len(candidates)} checkpoints, all truncated",
            "a whole one",
            "start anew in another --work-dir",
        )

    def _seed_epoch(self) -> None:
        set_random_seed(
            (self.seed + _EPOCH_SEED_STRIDE * self.epoch) % 2**31,
            diff_rank_seed=self._randomness_cfg.get("diff_rank_seed", False),
        )


def _completed(dataloader: dict[str, Any]) -> dict[str, Any]:
    """Add to a loader's config what mmengine leaves out; its data set is built."""
    config = {key: value for key, value in dataloader.items()}
    quiet = config.pop("disable_subprocess_warning", False)
    init = {"type": "seed_worker", "rank": get_rank(), "disable_subprocess_warning": quiet}
    config.setdefault("worker_init_fn", init)
    if isinstance(config.get("dataset"), dict):
        config["dataset"] = DATASETS.build(config["dataset"])
        if hasattr(config["dataset"], "full_init"):
            config["dataset"].full_init()
    workers = config.get("num_workers", 0)
    if not workers:
        return config
    size = bytes_of_batch(config["dataset"], config.get("batch_size", 1))
    fitting = fitting_workers(workers, size, config.get("prefetch_factor") or 2)
    if fitting < workers:
        print_log(advice(workers, fitting, size), "current", logging.WARNING)
        config["num_workers"] = fitting
    if fitting:
        config.setdefault("timeout", ANSWER_S)
    else:
        config.pop("prefetch_factor", None)
        config["persistent_workers"] = False
    return config


def _fitting(model: nn.Module, checkpoint: dict[str, Any], where: object) -> str:
    """Count the tensors of a checkpoint that fit the model.

    Raises:
        InputError: none does, so that training would start from nothing.
    """
    state = checkpoint.get("state_dict", checkpoint)
    wanted = model.state_dict()
    found = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    count = sum(
        isinstance(found.get(name), torch.Tensor) and found[name].shape == tensor.shape
        for name, tensor in wanted.items()
    )
    if not count:
        raise InputError(
            where,
            problem=f"none of its {len(found)} entries fits one of the model's {len(wanted)} tensors",
            remedy="give a checkpoint of this model; backbone weights go into "
            "model.backbone.weights, not load_from",
        )
    return f"{count} of the model's {len(wanted)} tensors are in the checkpoint"


@contextmanager
def _standard_error_shut() -> Iterator[None]:
    """Keep what child processes say to standard error off the screen."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@FUNCTIONS.register_module()
def seed_worker(worker_id: int, rank: int = 0, disable_subprocess_warning: bool = False) -> None:
    """Seed a worker's generators from torch's, which differs by epoch and worker.

    mmengine's own function gives a worker the same seed at every start, so that every
    epoch repeats the augmentations of the first.

    Args:
        worker_id: not used, torch's seed holds it.
        rank: of the training process, whose workers draw other numbers than its peers'.
        disable_subprocess_warning: mmengine's option, keeps a worker's warnings off the screen.
    """
    if disable_subprocess_warning:
        warnings.simplefilter("ignore")
    seed = (torch.initial_seed() + _EPOCH_SEED_STRIDE * rank) % 2**32
    torch.manual_seed(seed)
    random.seed(seed)
    # transforms of third parties draw from numpy's global generator
    np.random.seed(seed)  # noqa: NPY002


def find_checkpoints(work_dir: Path) -> list[Path]:
    """List what a run can be resumed from, newest first.

    The file `last_checkpoint` says which is newest, as mmengine writes it; older ones
    follow by falling number. Where it is missing or names nothing, the numbers alone count.
    """
    numbered = {_number(path): path for path in work_dir.glob("*.pth") if _number(path) >= 0}
    rising = [numbered[number] for number in sorted(numbered)]
    pointer = work_dir / "last_checkpoint"
    named = Path(pointer.read_text().strip()) if pointer.is_file() else Path()
    newest = next((path for path in (named, work_dir / named.name) if path.is_file()), None)
    if newest is None:
        return rising[::-1]
    older = rising  # of a name without a number, such as that of a last stage
    if _number(newest) >= 0:
        older = [path for path in rising if _number(path) < _number(newest)]
    return [newest, *older[::-1]]


def _number(path: Path) -> int:
    match = re.fullmatch(r"(?:epoch|iter)_(\d+)", path.stem)
    return int(match[1]) if match else -1
