"""Results kept part by part, so that a killed run goes on where it stopped.

The items of a job are cut into parts of a fixed size. A part is one file, of any format:
lines of text, an array, a chunk of predictions. It appears whole or not at all, together with
a record (`io.output_records`) of its fingerprint, its failed items and its notes. A later run
with the same fingerprint takes the part as it is. What is merged from the parts does not
depend on who made them, when, or on how many workers.

`run_parts` does the whole job for a function of one item. A job that computes in its own way
(a network on a GPU) uses `PartFolder` alone: `summary_of` to ask, `writing` to store.

Work that writes one file per item needs no parts: `io.outputs.OutputFiles` with a fingerprint
per file, and `OutputFiles.is_current` to ask.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import OutputError, remove_temporary_files
from hpa_mmdet.io.output_records import read_records
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs.engines import map_in_order
from hpa_mmdet.jobs.fingerprint import code_digest, file_states, fingerprint
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.jobs.report import Failure, Report
from hpa_mmdet.jobs.run import attempt

PartItem = TypeVar("PartItem")
PART_SIZE = 16


class ItemResult(NamedTuple):
    """What one item gives: a value for the part's file, notes for the report."""

    value: Any
    notes: list[str]


@dataclass
class PartSummary:
    """What a report has to say of a part."""

    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_note(self) -> dict[str, Any]:
        """Give it as plain values for the record of the part's file."""
        failures = [[failure.item_id, failure.message] for failure in self.failures]
        return {"done": self.done, "failures": failures, "notes": self.notes}

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> "PartSummary | None":
        """Undo `to_note`; None where the record is damaged."""
        try:
            failures = [Failure(str(name), str(message)) for name, message in note["failures"]]
            return cls(int(note["done"]), failures, [str(text) for text in note["notes"]])
        except (KeyError, TypeError, ValueError):
            return None


class PartFolder:
    """The files of a job's parts; picklable.

    Args:
        folder: where they are kept.
        tool: whose they are.
        name: of the files, before the part's number of six digits.
        ending: of the files.
    """

    def __init__(
        self, folder: Path, tool: str, *, name: str = "part-", ending: str = ".txt"
    ) -> None:
        self.folder, self.name, self.ending = folder, name, ending
        # a part of an earlier run with other options gives way
        self.outputs = OutputFiles(tool, root=folder, overwrite=True)

    def path_of(self, index: int) -> Path:
        """Name the file of a part."""
        return self.folder / f"{self.name}{index:06}{self.ending}"

    def summary_of(self, index: int, mark: str) -> PartSummary | None:
        """Give the summary of a part that is done; None where it is not.

        Args:
            index: of the part.
            mark: the part's fingerprint: of its items, their files, the options, the code.

        Raises:
            InputError: a file of the part's name is not as this tool wrote it.
        """
        path = self.path_of(index)
        outputs = self.outputs.of_fingerprint(mark)
        if outputs.refusal(path) is not None:
            raise InputError(
                path,
                problem=f"is not as {outputs.tool} wrote it",
                remedy="remove it and run the same command again, which makes this part anew",
            )
        record = outputs.record_of(path)
        if record is None or record.fingerprint != mark:
            return None
        return PartSummary.from_note(record.note)

    @contextmanager
    def writing(self, index: int, mark: str, summary: PartSummary) -> Iterator[Path]:
        """Give a temporary path, which becomes the part when the block ends well.

        The block may go on filling the summary: it is remembered as it is at the end.

        Raises:
            InputError: the part cannot be written, or as `summary_of`.
        """
        outputs = self.outputs.of_fingerprint(mark)
        note: dict[str, Any] = {}
        with outputs.writing(self.path_of(index), note=note) as temporary:
            yield temporary
            note |= summary.to_note()

    def remove(self) -> None:
        """Remove the parts, and the folder where nothing else is in it."""
        if not read_records(self.folder):
            return
        self.outputs.remove_owned()
        remove_temporary_files(self.folder)
        self.outputs.forget(self.folder)


def write_lines(path: Path, values: Sequence[Sequence[str]]) -> None:
    """Write the lines of a part's items, one after the other."""
    with path.open("w", encoding="utf-8", newline="\n") as handle:
        handle.writelines(line + "\n" for lines in values for line in lines)


def read_lines(parts: Sequence[Path]) -> Iterator[str]:
    """Give the lines of parts, one after the other, without holding more than one."""
    for path in parts:
        with path.open(encoding="utf-8", newline="\n") as handle:
            for line in handle:
                yield line[:-1]


@dataclass(frozen=True)
class PartJob(Generic[PartItem]):
    """What a worker does with a part; picklable.

    Args:
        function: gives the result of an item, or raises InputError.
        item_id: the name of an item in the report.
        files_of: the files that an item is made from; a change in one redoes its part.
        parts: where the parts are kept.
        options: all that the results depend on besides the items and the code of
            `function` with all that it imports from this package.
        write: writes the values of a part's items, those that did not fail, to a path.
    """

    function: Callable[[PartItem], ItemResult]
    item_id: Callable[[PartItem], str]
    files_of: Callable[[PartItem], Sequence[Path]]
    parts: PartFolder
    options: object
    write: Callable[[Path, Sequence[Any]], None] = write_lines

    def __call__(self, part: tuple[int, Sequence[PartItem]]) -> PartSummary | InputError:
        """Do a part, or find that it has been done; an error here is one of the whole run."""
        return attempt(self._do, part)

    def _do(self, part: tuple[int, Sequence[PartItem]]) -> PartSummary:
        index, items = part
        mark = self.fingerprint_of(items)
        if (earlier := self.parts.summary_of(index, mark)) is not None:
            return earlier
        values: list[Any] = []
        summary = PartSummary()
        for item in items:
            outcome = attempt(self.function, item)
            if isinstance(outcome, OutputError):
                raise outcome
            if isinstance(outcome, InputError):
                summary.failures.append(Failure(self.item_id(item), str(outcome)))
            else:
                values.append(outcome.value)
                summary.notes += outcome.notes
                summary.done += 1
        with self.parts.writing(index, mark, summary) as temporary:
            self.write(temporary, values)
        return summary

    def fingerprint_of(self, items: Sequence[PartItem]) -> str:
        """Give the fingerprint of a part."""
        function: Any = self.function
        while isinstance(function, partial):
            function = function.func
        states = [file_states(self.files_of(item)) for item in items]
        return fingerprint(code_digest(function.__module__), self.options, list(items), states)


def run_parts(
    job: PartJob[PartItem],
    items: Sequence[PartItem],
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
            report.failures += summary.failures
            report.notes += summary.notes
    return [job.parts.path_of(index) for index, _ in parts]
