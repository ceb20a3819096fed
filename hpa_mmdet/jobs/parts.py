"""Results written part by part, so that a killed run goes on where it stopped.

The items are cut into parts of a fixed size; a part's file appears whole or not at all
and holds a fingerprint of its items, their files and the options. A later run with the
same fingerprint takes the file as it is. What is merged from the parts does not depend on
who made them, when, or on how many workers.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from hpa_mmdet import __version__
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.jobs.engines import map_in_order
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.jobs.report import Failure, Report
from hpa_mmdet.jobs.run import attempt

Item = TypeVar("Item")
PART_SIZE = 16


class Lines(NamedTuple):
    """What one item gives: lines of text for the part's file, notes for the report."""

    lines: list[str]
    notes: list[str]


class _Summary(NamedTuple):
    """The first line of a part's file."""

    fingerprint: str
    done: int
    failures: list[tuple[str, str]]
    notes: list[str]


@dataclass(frozen=True)
class PartJob(Generic[Item]):
    """What a worker does with a part; picklable.

    Args:
        function: gives the lines of an item, or raises InputError.
        item_id: the name of an item in the report.
        files_of: the files that an item is made from; a change in one redoes its part.
        folder: where the parts are kept.
        options: all that the results depend on besides the items, as text.
    """

    function: Callable[[Item], Lines]
    item_id: Callable[[Item], str]
    files_of: Callable[[Item], Sequence[Path]]
    folder: Path
    options: str

    def path_of(self, index: int) -> Path:
        """Name the file of a part."""
        return self.folder / f"part-{index:06}.txt"

    def __call__(self, part: tuple[int, Sequence[Item]]) -> _Summary | InputError:
        """Do a part, or find that it has been done; an error here is one of the whole run."""
        index, items = part
        path = self.path_of(index)
        fingerprint = self._fingerprint(items)
        if (earlier := _read_summary(path)) is not None and earlier.fingerprint == fingerprint:
            return earlier
        lines: list[str] = []
        notes: list[str] = []
        failures: list[tuple[str, str]] = []
        for item in items:
            outcome = attempt(self.function, item)
            if isinstance(outcome, InputError):
                failures.append((self.item_id(item), str(outcome)))
            else:
                lines += outcome.lines
                notes += outcome.notes
        summary = _Summary(fingerprint, len(items) - len(failures), failures, notes)
        return attempt(lambda _: _write(path, summary, lines), None) or summary

    def _fingerprint(self, items: Sequence[Item]) -> str:
        stamps = [[_stamp(path) for path in self.files_of(item)] for item in items]
        content = repr((__version__, self.options, list(items), stamps))
        return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()


def run_parts(
    job: PartJob[Item],
    items: Sequence[Item],
    report: Report,
    *,
    workers: int = 1,
    engine: str = "local",
    part_size: int = PART_SIZE,
) -> list[Path]:
    """Do all parts that are not done yet, fill the report, name the parts' files in order.

    Raises:
        InputError: the parts cannot be written, or as `map_in_order`.
    """
    parts = [
        (index, items[begin : begin + part_size])
        for index, begin in enumerate(range(0, len(items), part_size))
    ]
    summaries = map_in_order(job, parts, workers=workers, engine=engine)
    with progress(report.tool, len(items)) as advance:
        for (_, of_part), summary in zip(parts, summaries, strict=True):
            if isinstance(summary, InputError):
                raise summary
            advance(len(of_part))
            report.done += summary.done
            report.failures += [Failure(*failure) for failure in summary.failures]
            report.notes += summary.notes
    return [job.path_of(index) for index, _ in parts]


def read_lines(parts: Sequence[Path]) -> Iterator[str]:
    """Give the lines of parts, one after the other, without holding more than one."""
    for path in parts:
        with path.open(encoding="utf-8", newline="\n") as handle:
            handle.readline()  # the summary
            for line in handle:
                yield line[:-1]


def _write(path: Path, summary: _Summary, lines: Sequence[str]) -> None:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as handle,
    ):
        handle.write(json.dumps(summary) + "\n")
        handle.writelines(line + "\n" for line in lines)


def _read_summary(path: Path) -> _Summary | None:
    try:
        with path.open(encoding="utf-8", newline="\n") as handle:
            fingerprint, done, failures, notes = json.loads(handle.readline())
    except (OSError, ValueError, TypeError):
        return None
    return _Summary(fingerprint, done, [(each[0], each[1]) for each in failures], notes)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # reading it will say so
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)
