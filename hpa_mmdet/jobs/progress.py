"""How far a run is, at what rate, and how long it will take, on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SECONDS_BETWEEN_LINES = 8.0
_SECONDS_BEFORE_FIRST = 2.0


class _Rate(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function to call with the number of items just done.

    A bar where stderr is a terminal; a line every eight seconds where it is a log, the first one sooner.
    """
    bar = progress_bar()
    if bar.disable:
        yield _lines(bar.console, description, total)
        return
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)


def progress_bar() -> Progress:
    """Build the bar: count, rate, time so far and left; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _lines(console: Console, description: str, total: int) -> Callable[[int], None]:
    begun = time.monotonic()
    due = begun + _SECONDS_BEFORE_FIRST
    done = 0

    def advance(count: int) -> None:
        nonlocal due, done
        done += count
        now = time.monotonic()
        if now >= due:
            due = now + SECONDS_BETWEEN_LINES
            console.print(describe(description, done, total, now - begun), soft_wrap=True)

    return advance


def describe(description: str, done: int, total: int, elapsed_s: float) -> str:
    """Say count, rate and time left in a line.

    Examples:
        >>> describe("convert", 120, 480, 60.0)
        'convert: 120 of 480, 2.0/s, 3 min left'
    """
    rate = done / max(elapsed_s, 1e-9)
    left_s = (total - done) / rate if rate else 0.0
    left = f"{left_s / 60:.0f} min" if left_s >= 60 else f"{left_s:.0f} s"
    return f"{description}: {done} of {total}, {rate:.1f}/s, {left} left"
