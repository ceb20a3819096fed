"""Records of the files that tools wrote into a folder; see `outputs` for what they are for."""

import hashlib
import json
import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from hpa_mmdet.io.atomic import unwritable

RECORDS = ".hpa-mmdet"
"""Name of the hidden folder that remembers what tools wrote into the folder around it."""


@dataclass(frozen=True)
class WrittenFile:
    """A line of the records: a file as a tool wrote it."""

    name: str
    tool: str
    fingerprint: str
    size: int
    mtime_ns: int
    sha256: str

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


def read_records(folder: Path) -> dict[str, list[WrittenFile]]:
    """Read what tools wrote into a folder, by name; a damaged line is passed over.

    A file whose line is lost counts as the user's, so nothing is lost with the line.
    """
    records: dict[str, list[WrittenFile]] = {}
    for path in sorted((folder / RECORDS).glob("written-*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                written = WrittenFile(**json.loads(line))
            except (ValueError, TypeError, RecursionError):
                continue
            records.setdefault(written.name, []).append(written)
    return records


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
