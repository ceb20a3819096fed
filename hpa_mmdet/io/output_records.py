"""Records of the files that tools wrote into a folder; see `outputs` for what they are for."""

import hashlib
import json
import os
import platform
import re
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hpa_mmdet.io.atomic import unwritable

RECORDS = ".hpa-mmdet"
"""Name of the hidden folder that remembers what tools wrote into the folder around it."""


@dataclass(frozen=True)
class WrittenFile:
    """A line of the records: a file as a tool wrote it.

    Args:
        name: below the folder of the records, with `/`.
        tool: that wrote it.
        fingerprint: of all that it depends on, or "".
        size: in bytes.
        mtime_ns: time of its last change.
        sha256: of its bytes.
        note: what the tool wants to know of it later, as plain values.
    """

    name: str
    tool: str
    fingerprint: str
    size: int
    mtime_ns: int
    sha256: str
    note: dict[str, Any] = field(default_factory=dict)

    def is_at(self, path: Path) -> bool:
        """Tell whether the file is still as it was written."""
        status = path.lstat()
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.mtime_ns or file_sha256(path) == self.sha256


def file_sha256(path: Path) -> str:
    """Hash a file, in lower-case hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class _Read(NamedTuple):
    """What was read of a file of records, and how far."""

    size: int
    files: dict[str, list[WrittenFile]]


_read: dict[Path, _Read] = {}
_lock = threading.Lock()


def read_records(folder: Path, name: str | None = None) -> dict[str, list[WrittenFile]]:
    """Read what tools wrote into a folder, by name; a damaged line is passed over.

    A file whose line is lost counts as the user's, so nothing is lost with the line. Only
    lines that are new since the last call in this process are read.

    Args:
        folder: whose records.
        name: of one file; None for all files.
    """
    records: dict[str, list[WrittenFile]] = {}
    for path in sorted((folder / RECORDS).glob("written-*.jsonl")):
        files = _read_on(path)
        for found in files if name is None else files.keys() & {name}:
            records.setdefault(found, []).extend(files[found])
    return records


def _read_on(path: Path) -> dict[str, list[WrittenFile]]:
    with _lock, path.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        earlier = _read.get(path)
        if earlier is None or size < earlier.size:
            earlier = _Read(0, {})
        handle.seek(earlier.size)
        for line in handle.read(size - earlier.size).splitlines():
            try:
                written = WrittenFile(**json.loads(line))
            except (ValueError, TypeError, RecursionError):
                continue
            earlier.files.setdefault(written.name, []).append(written)
        _read[path] = _Read(size, earlier.files)
        return earlier.files


def append_record(folder: Path, written: WrittenFile) -> None:
    """Remember a file of a folder, before it gets its name.

    Raises:
        InputError: the records cannot be written.
    """
    machine = re.sub(r"[^\w.-]", "_", platform.node())[:64] or "unnamed"
    path = folder / RECORDS / f"written-{machine}.jsonl"
    # the line break comes first, so that the stump of a line that a full disk cut stays alone
    line = ("\n" + json.dumps(asdict(written))).encode("ascii")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # one write with O_APPEND is whole, so workers of one machine can share the file
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error


def name_in(root: Path, path: Path) -> str:
    """Give the name under which the records of `root` list a file."""
    return path.absolute().relative_to(root.absolute()).as_posix()
