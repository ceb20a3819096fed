"""Writing without half-written files."""

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_mmdet.errors import InputError

# only writing raises these, so the file that is being written is the one to name
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EROFS,)


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
        if error.errno in _NO_ROOM + _NOT_ALLOWED:
            raise unwritable(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> InputError:
    """Say of an output that it cannot be written, and what the user can do."""
    if error.errno in _NO_ROOM:
        return InputError(
            path, "a full disk", "room for the output", "free space and run the same command again"
        )
    return InputError(
        path,
        problem=f"cannot be written ({error.strerror or error})",
        remedy="choose another path",
    )
