"""Lists of SHA-256 sums, in the form of the command sha256sum."""

import re
from collections.abc import Mapping
from pathlib import Path

from hpa_mmdet.errors import InputError

_LINE = re.compile(r"(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)")


def read_checksums(path: Path) -> dict[str, str]:
    """Read a list, SHA-256 by file name.

    Raises:
        InputError: the list cannot be read, or a line is none of sha256sum's.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, error, "a list of sha256sum", "check the path") from error
    sums = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fit = _LINE.fullmatch(line)
        if fit is None:
            raise InputError(
                f"{path}, line {number}",
                line[:80],
                "64 hexadecimal digits, two spaces, a file name",
                "make it with sha256sum",
            )
        sums[fit["name"]] = fit["digest"].lower()
    return sums


def checksum_lines(sums: Mapping[str, str]) -> str:
    """Give a list by rising file name as text."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
