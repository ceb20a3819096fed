"""What a run did: counts, failures, notes, and the exit status that follows."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.json_files import read_json_object
from hpa_mmdet.io.outputs import OutputFiles

REPORT_NAME = "report.json"
"""What the names of all reports end with."""


@dataclass(frozen=True)
class Failure:
    """One item that could not be done, and why."""

    item_id: str
    message: str


@dataclass
class Report:
    """What a run did. Filled as the run goes on.

    A warning, other than a note, says that a result is likely to be wrong.
    """

    tool: str
    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 all done; 1 some items failed, or there is a warning; 2 none could be done."""
        if not self.failures:
            return 1 if self.warnings else 0
        return 1 if self.done else 2

    def summary(self) -> str:
        """Say it in lines: the count, the notes, each failure."""
        lines = [f"{self.tool}: {self.done} done, {len(self.failures)} failed", *self.notes]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(
            lines + [f"  failed {failure.item_id}: {failure.message}" for failure in self.failures]
        )

    def write(self, path: Path, outputs: OutputFiles | None = None) -> None:
        """Write it as JSON: tool, done, failed (id and message of each), notes, warnings if any.

        Args:
            path: where to.
            outputs: of the run, among which the report is; None for a run that keeps no
                records of its files.
        """
        content = {
            "tool": self.tool,
            "done": self.done,
            "failed": [
                {"id": failure.item_id, "message": failure.message} for failure in self.failures
            ],
            "notes": self.notes,
        } | ({"warnings": self.warnings} if self.warnings else {})
        with atomic_path(path) if outputs is None else outputs.writing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_report(path: Path) -> Report:
    """Read a report that `Report.write` has written.

    Raises:
        InputError: there is none, or it is no report.
    """
    content = read_json_object(path)
    try:
        failures = [Failure(entry["id"], entry["message"]) for entry in content["failed"]]
        warnings = content.get("warnings", [])
        return Report(content["tool"], content["done"], failures, content["notes"], warnings)
    except (KeyError, TypeError) as error:
        raise InputError(
            path, problem=f"is no report of a run ({error})", remedy="run the tool again"
        ) from error
