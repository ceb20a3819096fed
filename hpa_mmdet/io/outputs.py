"""Which files a tool may write, replace or remove: one rule for every tool.

- A file that the tool did not write, or that was changed since, is never replaced or removed.
- A file that the tool did write is replaced only with `--overwrite`, or by a run of the same
  fingerprint (one that is resumed).
- An output is never one of the inputs, and no two outputs of a run have one name.
- A place that cannot be written is found before the work begins.

Use it so:

    outputs = OutputFiles("stats", inputs=[args.json], overwrite=args.overwrite)
    outputs.claim(args.out)                      # before the work; InputError ends the tool
    ...
    with outputs.writing(args.out) as temporary:  # in place of `atomic_path`
        temporary.write_text(page)

For a folder of many files: `claim_folder` once, `writing` for each file (it checks again),
`refusal` to ask about a file without raising, `remove_owned` in place of a pattern and
`unlink`. Instances are picklable, so that workers can write.

What a tool wrote is remembered in a hidden folder beside the files: a line for each file in
`.hpa-mmdet/written-<machine>.jsonl`, appended before the file gets its name, with its size,
time and digest. A file is the tool's own if it is what such a line says. Size and time decide
where both agree, so that checking 10,000 files reads none of them; else the digest does, so
that a copied folder stays its tool's own.
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path, unwritable
from hpa_mmdet.io.json_files import LONGEST_PART
from hpa_mmdet.io.output_records import (
    RECORDS,
    WrittenFile,
    append_record,
    file_sha256,
    name_in,
    read_records,
)


class OutputFiles:
    """The files that one run of a tool writes.

    Args:
        tool: name of the tool, as its messages have it.
        inputs: files and folders that the run reads; None among them is passed over.
        overwrite: whether the tool's own older files may be replaced.
        fingerprint: of all that the outputs depend on; an older file of the same
            fingerprint may be replaced, since the run goes on with its work. Empty for a
            tool that cannot resume.
        root: the folder whose records list the files, also those of its subfolders; None
            for the folder that each file is in.
    """

    def __init__(
        self,
        tool: str,
        *,
        inputs: Iterable[Path | None] = (),
        overwrite: bool = False,
        fingerprint: str = "",
        root: Path | None = None,
    ) -> None:
        self.tool, self.overwrite, self.fingerprint, self.root = tool, overwrite, fingerprint, root
        self._inputs = [path for path in inputs if path is not None]
        self._claimed: set[Path] = set()
        self._written: set[Path] = set()

    def of_fingerprint(self, fingerprint: str) -> "OutputFiles":
        """Give the same files under another fingerprint, for outputs that each have one."""
        other = copy(self)
        other.fingerprint = fingerprint
        return other

    def claim(self, path: Path) -> Path:
        """Check before the work that a file may be written, and give its path back.

        Raises:
            InputError: it is an input, or named for two outputs, or there is a file that may
                not be replaced, or the place cannot be written.
        """
        self._check_input(path)
        place = path.absolute()
        if place in self._claimed:
            raise InputError(path, problem="is named for two outputs", remedy="change one")
        if (problem := self.refusal(path)) is not None:
            raise problem
        if len(os.fsencode(path.name)) > LONGEST_PART:
            raise InputError(
                path, problem="has a name of more than 255 bytes", remedy="choose a shorter one"
            )
        check_writable(path.parent)
        self._claimed.add(place)
        return path

    def claim_folder(self, folder: Path) -> Path:
        """Check before the work that files may be written into a folder.

        Its files are checked one by one, by `refusal` or `writing`.

        Raises:
            InputError: it is an input or a file, or cannot be written.
        """
        self._check_input(folder)
        check_writable(folder)
        return folder

    def refusal(self, path: Path) -> InputError | None:
        """Say why a file may not be written; None where it may."""
        if not os.path.lexists(path):
            return None
        if path.is_dir() and not path.is_symlink():
            return InputError(path, problem="is a folder", remedy="choose another name")
        owner = self.record_of(path)
        if owner is None:
            listed = self._listed(path)
            problem = (
                f"was changed since {self.tool} wrote it"
                if any(file.tool == self.tool for file in listed)
                else f"was not written by {self.tool}"
            )
            return InputError(
                path,
                problem=f"{problem}, so it is never replaced",
                remedy="move it away or choose another name",
            )
        resumed = bool(self.fingerprint) and owner.fingerprint == self.fingerprint
        if self.overwrite or resumed or path.absolute() in self._written:
            return None
        return InputError(
            path,
            problem="is there from an earlier run",
            remedy="give --overwrite to replace it, or choose another name",
        )

    def owns(self, path: Path) -> bool:
        """Tell whether the file is there as this tool wrote it."""
        return self.record_of(path) is not None

    def record_of(self, path: Path) -> WrittenFile | None:
        """Give the record of a file that is as this tool wrote it; else None."""
        if path.is_symlink() or not path.is_file():
            return None
        own = [file for file in reversed(self._listed(path)) if file.tool == self.tool]
        # the same bytes may have been written twice: the times tell which of them these are
        same_time = (file for file in own if file.mtime_ns == path.stat().st_mtime_ns)
        first = next((file for file in same_time if file.is_at(path)), None)
        return first or next((file for file in own if file.is_at(path)), None)

    def is_current(self, path: Path) -> bool:
        """Tell whether the file is there as a run of this tool and fingerprint wrote it."""
        record = self.record_of(path)
        return record is not None and record.fingerprint == self.fingerprint

    @contextmanager
    def writing(self, path: Path, note: dict[str, Any] | None = None) -> Iterator[Path]:
        """Give a temporary path beside `path`, which replaces it when the block ends well.

        Args:
            path: the output.
            note: plain values to remember with it, for `record_of`.

        Raises:
            InputError: as `claim`, but for names claimed twice; or the disk is full.
        """
        with atomic_path(path) as temporary:
            yield temporary
            # now, since the work may have taken hours
            if (problem := self.refusal(path)) is not None:
                raise problem
            self._record(path, temporary, note or {})

    def remove_owned(self, folder: Path | None = None) -> int:
        """Remove the files of this tool that are as it wrote them, and folders left empty.

        Args:
            folder: whose records to go by; None for `root`.

        Returns:
            How many files.
        """
        root = self.root if folder is None else folder
        assert root is not None
        count = 0
        names = sorted(read_records(root))
        for name in names:
            path = root / name
            if self.owns(path):
                path.unlink()
                count += 1
        below = {parent for name in names for parent in Path(name).parents}
        for parent in sorted(below - {Path()}, key=lambda path: -len(path.parts)):
            _remove_if_empty(root / parent)
        return count

    def forget(self, folder: Path) -> None:
        """Remove a folder's records, and the folder where nothing else is in it.

        For folders of working files; what the records listed is nobody's from then on.
        """
        for path in (folder / RECORDS).glob("written-*.jsonl"):
            path.unlink(missing_ok=True)
        _remove_if_empty(folder / RECORDS)
        _remove_if_empty(folder)

    def _check_input(self, path: Path) -> None:
        for given in self._inputs:
            if path.resolve() == given.resolve() or _same_file(path, given):
                raise InputError(
                    path, problem="is an input of this run", remedy="choose another output"
                )

    def _listed(self, path: Path) -> list[WrittenFile]:
        root = self.root or path.parent
        name = name_in(root, path)
        return read_records(root, name).get(name, [])

    def _record(self, path: Path, temporary: Path, note: dict[str, Any]) -> None:
        root = self.root or path.parent
        status = temporary.stat()
        written = WrittenFile(
            name_in(root, path),
            self.tool,
            self.fingerprint,
            status.st_size,
            status.st_mtime_ns,
            file_sha256(temporary),
            note,
        )
        append_record(root, written)
        self._written.add(path.absolute())


def claim_output(
    path: Path, tool: str, *, inputs: Iterable[Path | None] = (), overwrite: bool = False
) -> OutputFiles:
    """Claim the one output of a tool: `OutputFiles(...)` and `claim` in one call.

    Raises:
        InputError: as `OutputFiles.claim`.

    Examples:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> out = Path(folder.name) / "a.json"
        >>> with claim_output(out, "stats").writing(out) as temporary:
        ...     _ = temporary.write_text("{}")
        >>> claim_output(out, "stats", overwrite=True).owns(out)
        True
        >>> folder.cleanup()
    """
    outputs = OutputFiles(tool, inputs=inputs, overwrite=overwrite)
    outputs.claim(path)
    return outputs


def check_writable(folder: Path) -> None:
    """Try out whether files can be made in a folder, or the folder itself; leave no trace.

    Raises:
        InputError: they cannot.
    """
    place = folder.absolute()
    while not os.path.lexists(place):
        place = place.parent
    probe = place / f".{secrets.token_hex(8)}.tmp"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise unwritable(folder, error) from error


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # not empty, or gone
