"""How far a run is and how long it will take, on one line of the terminal."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hpa_mmdet.jobs.progress import progress

_KEPT = 0.95  # of the running mean of the loss


@HOOKS.register_module()
class ProgressBar(Hook):
    """A bar with steps done, time left and the loss; nothing where there is no terminal.

    The log has every figure; this line is for whoever watches. In a validation, of which the log says
    little, there are lines without a terminal, too.
    """

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._loss: float | None = None
        self._validation = ExitStack()
        self._validated: Callable[[int], None] | None = None

    def before_train(self, runner: Any) -> None:
        """Show the bar."""
        if not (is_main_process() and sys.stderr.isatty()) or runner.max_iters <= runner.iter:
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._progress.add_task("training", total=runner.max_iters, completed=runner.iter)
        self._progress.start()

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Move the bar by a step."""
        if self._progress is None:
            return
        if outputs and "loss" in outputs:
            value = float(outputs["loss"])
            last = value if self._loss is None else self._loss
            self._loss = _KEPT * last + (1 - _KEPT) * value
        done = runner.iter + 1
        loss = "" if self._loss is None else f", loss {self._loss:.3f}"
        text = f"epoch {runner.epoch + 1} of {runner.max_epochs}{loss}"
        task = self._progress.task_ids[0]
        self._progress.update(task, completed=done, description=text)
        if done >= runner.max_iters:
            self._stop()

    def after_train(self, runner: Any) -> None:
        """Remove the bar."""
        self._stop()

    def before_val_epoch(self, runner: Any) -> None:
        """Begin to show how far a validation is, where no bar is there."""
        if is_main_process() and self._progress is None:
            shown = progress("validation", len(runner.val_dataloader))
            self._validated = self._validation.enter_context(shown)

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Say it every few seconds."""
        if self._validated is not None:
            self._validated(1)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """End it."""
        self._validation.close()
        self._validated = None

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
