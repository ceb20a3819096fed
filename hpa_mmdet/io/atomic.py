"""Writing without half-written files."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed to it when the block ends well.

    The temporary name keeps the suffix, since writers choose a format by it. If the block
    raises, the temporary file is removed and an older `path` stays as it was. Missing
    parent folders are made.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     out = Path(folder) / "a.txt"
        ...     with atomic_path(out) as temporary:
        ...         _ = temporary.write_text("whole")
        ...     out.read_text()
        'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
