"""Run one function over many items, keep going past the bad ones, say what happened."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import OutputError
from hpa_mmdet.jobs.engines import map_in_order
from hpa_mmdet.jobs.progress import progress, progress_bar
from hpa_mmdet.jobs.report import Failure, Report

__all__ = ["attempt", "progress_bar", "run_items"]

RunItem = TypeVar("RunItem")
ItemValue = TypeVar("ItemValue")


def run_items(
    function: Callable[[RunItem], ItemValue],
    items: Sequence[RunItem],
    report: Report,
    *,
    item_id: Callable[[RunItem], str] = str,
    workers: int = 1,
    description: str = "",
    engine: str = "local",
) -> Iterator[tuple[RunItem, ItemValue]]:
    """Call `function` on each item and yield the results in the order of the items.

    An item whose call raises `InputError` is added to `report.failures` and skipped, but for
    an output that cannot be written: the disk is full for the next item too. Any other
    exception is a bug of ours and is raised. `report.done` counts the rest. Count,
    rate and time left are shown on stderr.

    Args:
        function: picklable where `workers` > 1.
        items: what to do; with workers, only a few are in flight at a time, so results do
            not pile up.
        report: filled as the run goes on.
        item_id: the name of an item in the report.
        workers: processes; 1 runs in this one.
        description: the progress bar's title.
        engine: `local` or `ray`.

    Raises:
        OutputError: an output cannot be written.
        InputError: as `map_in_order`.
    """
    outcomes = map_in_order(partial(attempt, function), items, workers=workers, engine=engine)
    with progress(description or report.tool, len(items)) as advance:
        for item, outcome in zip(items, outcomes, strict=True):
            advance(1)
            if isinstance(outcome, OutputError):
                raise outcome
            if isinstance(outcome, InputError):
                report.failures.append(Failure(item_id(item), str(outcome)))
            else:
                report.done += 1
                yield item, outcome


def attempt(function: Callable[[RunItem], ItemValue], item: RunItem) -> ItemValue | InputError:
    """Call the function; what a user can mend is given back, not raised."""
    try:
        return function(item)
    except InputError as error:
        return error
