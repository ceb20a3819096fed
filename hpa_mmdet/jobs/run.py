"""Run one function over many items, keep going past the bad ones, say what happened."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """One item that could not be done, and why."""

    item_id: str
    message: str


@dataclass
class Report:
    """What a run did. Filled as the run goes on."""

    tool: str
    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 all done, 1 some items failed, 2 none could be done."""
        if not self.failures:
            return 0
        return 1 if self.done else 2

    def summary(self) -> str:
        """Say it in lines: the count, the notes, each failure."""
        lines = [f"{self.tool}: {self.done} done, {len(self.failures)} failed", *self.notes]
        return "\n".join(
            lines + [f"  failed {each.item_id}: {each.message}" for each in self.failures]
        )

    def write(self, path: Path) -> None:
        """Write it as JSON: tool, done, failed (id and message of each), notes."""
        content = {
            "tool": self.tool,
            "done": self.done,
            "failed": [{"id": each.item_id, "message": each.message} for each in self.failures],
            "notes": self.notes,
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def run_items(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    report: Report,
    *,
    item_id: Callable[[Item], str] = str,
    workers: int = 1,
    description: str = "",
) -> Iterator[tuple[Item, Result]]:
    """Call `function` on each item and yield the results in the order of the items.

    An item whose call raises `InputError` is added to `report.failures` and skipped;
    another exception is a bug of ours and is raised. `report.done` counts the rest. A
    progress bar on stderr shows count, rate and time left where stderr is a terminal.

    Args:
        function: picklable where `workers` > 1.
        items: what to do; with workers, only a few are in flight at a time, so results do
            not pile up.
        report: filled as the run goes on.
        item_id: the name of an item in the report.
        workers: processes; 1 runs in this one.
        description: the progress bar's title.
    """
    outcomes = _serial(function, items) if workers <= 1 else _parallel(function, items, workers)
    with _progress_bar() as bar:
        task = bar.add_task(description or report.tool, total=len(items))
        for item, outcome in zip(items, outcomes, strict=True):
            bar.advance(task)
            if isinstance(outcome, InputError):
                report.failures.append(Failure(item_id(item), str(outcome)))
            else:
                report.done += 1
                yield item, outcome


def _attempt(function: Callable[[Item], Result], item: Item) -> Result | InputError:
    try:
        return function(item)
    except InputError as error:
        return error


def _serial(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result | InputError]:
    return (_attempt(function, item) for item in items)


def _parallel(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result | InputError]:
    # spawn: forking a process that holds threads (OpenCV, torch) can deadlock
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_use_one_thread) as pool:
        waiting = iter(items)
        ahead = [pool.submit(_attempt, function, item) for item in islice(waiting, 4 * workers)]
        queue: list[Future[Result | InputError]] = ahead
        while queue:
            outcome = queue.pop(0).result()
            queue.extend(pool.submit(_attempt, function, item) for item in islice(waiting, 1))
            yield outcome


def _use_one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(1)


def _progress_bar() -> Progress:
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
