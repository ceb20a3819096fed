"""Decisions of reviewers, appended to a table at once, so that a crash loses none.

Two servers may append to one table: each locks it for the moment of writing, and reads
what the other wrote before it answers.
"""

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hpa_mmdet.io.atomic import unwritable
from hpa_mmdet.io.decisions import (
    DECISION_COLUMNS,
    UNDONE,
    CellKey,
    Decision,
    current_decisions,
    now_text,
    parse_decisions,
    read_decisions,
)

_LONGEST_ROW = 64 * 2**10
_HEADER = (",".join(DECISION_COLUMNS) + "\n").encode()


class ReviewStore:
    """The table of one review.

    Args:
        path: made if it is not there.

    Raises:
        InputError: it cannot be written, or is a table of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._rows: list[Decision] = []
        self._current: dict[CellKey, dict[str, Decision]] = {}
        self._read_bytes = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as file:
                if os.fstat(file).st_size == 0:
                    _write(file, _HEADER)
        except OSError as error:
            raise unwritable(path, error) from error
        read_decisions(path)  # refuses another kind of table
        self.refresh()

    def append(self, decisions: Sequence[Decision]) -> None:
        """Write decisions to the disk; when this returns they outlive a crash."""
        lines = "".join(decision.line() for decision in decisions).encode()
        with self._lock, self._open() as file:
            _remove_cut_line(file)
            _write(file, lines)
        self.refresh()

    def undo(self, reviewer: str) -> Decision | None:
        """Take back the last decision of a reviewer that still counts, if there is one."""
        self.refresh()
        current = self.current()
        for decision in reversed(self._rows):
            if decision.reviewer == reviewer and decision.word != UNDONE:
                if current.get(decision.key, {}).get(reviewer) is not decision:
                    continue
                self.append([decision._replace(labels=(), word=UNDONE, time=now_text())])
                return decision
        return None

    def current(self) -> dict[CellKey, dict[str, Decision]]:
        """What counts now; see `current_decisions`. Not to be modified."""
        return self._current

    def refresh(self) -> None:
        """Read what was appended since, by this server or another.

        Raises:
            InputError: a row that somebody edited is damaged.
        """
        with self._lock, self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size < self._read_bytes:  # somebody replaced the file by a shorter one
                self._rows, self._current, self._read_bytes = [], {}, 0
            file.seek(self._read_bytes)
            new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            lines = whole.decode("utf-8-sig", "replace").splitlines()
            if self._read_bytes == 0:
                lines = lines[1:]
            self._rows += parse_decisions(lines, self.path)
            self._read_bytes += len(whole)
            if lines:
                self._current = current_decisions(self._rows)

    @contextmanager
    def _open(self) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _remove_cut_line(file: int) -> None:
    """Remove what a crash left of a row that was never acknowledged."""
    size = os.fstat(file).st_size
    tail = os.pread(file, _LONGEST_ROW, max(0, size - _LONGEST_ROW))
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(file, size - len(tail) + tail.rfind(b"\n") + 1)


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
    os.fsync(file)
