"""Writing without half-written files."""

import csv
import errno
import io
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

from hpa_mmdet.errors import InputError

# only writing raises these, so the file that is being written is the one to name
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EROFS,)
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp(\..*)?")


class OutputError(InputError):
    """An output cannot be written, which ends a run: no other item could be written either."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it when the block ends well.

    The temporary name keeps the suffix, since writers choose a format by it. If the block
    raises, the temporary file is removed and an older `path` stays as it was. Missing
    parent folders are made.

    Raises:
        InputError: the folder cannot be made or written to, or the disk is full.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = Path(folder) / "a.txt"
        ...     with atomic_path(out) as temporary:
        ...         _ = temporary.write_text("whole")
        ...     out.read_text()
        'whole'
    """
    # short, since a name may have 255 bytes and the user's may be that long
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp{path.suffix[-16:]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield temporary
        try:
            temporary.replace(path)
        except OSError as error:
            raise unwritable(path, error) from error
    except OSError as error:
        if error.errno in _NO_ROOM + _NOT_ALLOWED or _is_short_write(error):
            raise unwritable(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def save_image(image: Image.Image, path: Path, **options: Any) -> None:
    """Write a Pillow image in the format that the name says.

    Pillow itself takes no notice where a full disk cuts off the end of a file, so the image
    is encoded in memory first.

    Args:
        image: what to write.
        path: where to.
        options: of Pillow's writer for the format, such as `quality`.
    """
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[path.suffix.lower()], **options)
    path.write_bytes(buffer.getvalue())


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, rows as they come; `path` appears when all are written."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def remove_temporary_files(folder: Path, older_than_s: float = 0.0) -> int:
    """Remove what killed processes left under temporary names; say how many files.

    Args:
        folder: where; its subfolders are not looked at.
        older_than_s: seconds since the last change, so that living writers keep theirs.
    """
    removed = 0
    for path in list(folder.glob(".*")):
        if _TEMPORARY.fullmatch(path.name):
            # its writer may have ended just now, or another process removed it
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime >= older_than_s:
                    path.unlink()
                    removed += 1
    return removed


def unwritable(path: Path, error: OSError) -> InputError:
    """Say of an output that it cannot be written, and what the user can do."""
    if error.errno == errno.ENAMETOOLONG:  # a fault of this name, not of the place
        return InputError(path, problem="has too long a name", remedy="use a shorter image id")
    if error.errno in _NO_ROOM or _is_short_write(error):
        return OutputError(
            path, "a full disk", "room for the output", "free space and run the same command again"
        )
    return OutputError(
        path,
        problem=f"cannot be written ({error.strerror or error})",
        remedy="choose another path",
    )


def _is_short_write(error: OSError) -> bool:
    """Tell numpy's error of an array that did not fit the disk, which has no number."""
    return error.errno is None and "requested and" in str(error)
