"""Rows of CSV tables as people and spreadsheets write them, each with its own problem.

UTF-8 and UTF-16 are read, with or without a byte order mark. The separator is the comma, tab or
semicolon that separates the header. A row that cannot be read spoils only itself: an unclosed quote
ends with its line unless the following lines complete the row.
"""

import csv
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from hpa_mmdet.errors import InputError

_LONGEST_LINE = 2**17  # characters, as csv's own limit of a field
_LINES_OF_A_ROW = 50


class TableRow(NamedTuple):
    """The texts of the wanted columns, and why the row cannot be used if it cannot.

    `where` names file and line; the texts of a row with a problem are what could be read.
    """

    where: str
    texts: list[str]
    problem: InputError | None


def read_rows(path: Path, *columns: Sequence[str]) -> Iterator[TableRow]:
    """Give the rows of a table; rows of blanks and separators alone are left out.

    Args:
        path: CSV or TSV.
        columns: the wanted columns, each as the names it may have; the first present is taken.

    Raises:
        InputError: the table cannot be read, or lacks a column, or has it twice.
    """
    with _opened(path) as handle:
        yield from _rows(path, handle, columns)


def read_column_names(path: Path) -> list[str]:
    """Give the names of a table's header.

    Raises:
        InputError: the table cannot be read.
    """
    with _opened(path) as handle:
        return _header(_Lines(handle))[0]


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            raise InputError(path, "no regular file", "a CSV table", "copy the table there")
        with path.open(newline="", encoding=_encoding(path)) as handle:
            yield handle
    except FileNotFoundError as error:
        raise InputError(path, "no file", "a CSV table", "check the path") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(path, reason, "a CSV table that can be read", "check the path") from error
    except UnicodeError as error:
        raise InputError(path, str(error), "a CSV table in UTF-8", "export it again") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as handle:
        start = handle.read(64)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(start) >= 4 and not any(start[1::2]):
        return "utf-16-le"
    if len(start) >= 4 and not any(start[0::2]):
        return "utf-16-be"
    return "utf-8-sig"


def _rows(path: Path, handle: TextIO, columns: Sequence[Sequence[str]]) -> Iterator[TableRow]:
    lines = _Lines(handle)
    names, separator = _header(lines)
    places = _places(path, names, columns)
    while (line := lines.next()) is not None:
        where = f"{path}, row {lines.number}"
        fields = _fields(line, separator)
        if fields is None:
            fields = lines.complete(line, separator, len(names))
        problem = None
        if fields is None:
            fields = [field.strip().strip('"') for field in line[:1000].split(separator)]
            problem = InputError(
                where,
                problem="a quote is not closed, or the row is too long",
                remedy='close the quote, and write a quote inside a field as ""',
            )
        texts = [field.strip() for field in fields]
        while len(texts) > len(names) and not texts[-1]:
            texts.pop()  # a spreadsheet's empty columns
        if problem is None and len(texts) > len(names):
            problem = InputError(
                where,
                f"{len(texts)} fields",
                f"{len(names)} as in the header",
                "put labels in quotes, or separate them with |",
            )
        if any(texts):
            padded = texts + [""] * len(names)
            yield TableRow(where, [padded[place] for place in places], problem)


def _header(lines: "_Lines") -> tuple[list[str], str]:
    header = lines.next() or ""
    separator = max(",\t;", key=header.count)
    return [name.strip() for name in _fields(header, separator) or ()], separator


def _places(path: Path, names: Sequence[str], columns: Sequence[Sequence[str]]) -> list[int]:
    found = [next((name for name in choice if name in names), "") for choice in columns]
    if "" in found:
        wanted = ",".join(" or ".join(choice[:2]) for choice in columns)
        have = f"columns {','.join(names)[:200]}" if any(names) else "an empty file"
        raise InputError(path, have, wanted, "rename the columns")
    for name in found:
        if names.count(name) > 1:
            raise InputError(
                path, f"{names.count(name)} columns {name}", "one", "remove or rename the others"
            )
    return [names.index(name) for name in found]


def _fields(line: str, separator: str) -> list[str] | None:
    """Split one row; None where a quote is not closed or the row is too long."""
    if len(line) >= _LONGEST_LINE:
        return None
    try:
        rows = csv.reader([line], delimiter=separator, strict=True, skipinitialspace=True)
        return next(rows, [])
    except csv.Error:
        return None


class _Lines:
    """Lines of bounded length that can be looked at before they are taken."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self._ahead: deque[str] = deque()
        self.number = 0

    def next(self) -> str | None:
        line = self._ahead.popleft() if self._ahead else self._read()
        self.number += line is not None
        return line

    def complete(self, line: str, separator: str, count: int) -> list[str] | None:
        """Add the following lines while a quote is open; None if they give no such row."""
        for used in range(1, _LINES_OF_A_ROW):
            if len(line) >= _LONGEST_LINE:
                break
            if used > len(self._ahead):
                more = self._read()
                if more is None:
                    break
                self._ahead.append(more)
            line += self._ahead[used - 1]
            fields = _fields(line, separator)
            if fields is not None:
                if len(fields) != count:
                    break
                for _ in range(used):
                    self.next()
                return fields
        return None

    def _read(self) -> str | None:
        line = self._handle.readline(_LONGEST_LINE)
        rest = line
        while len(rest) == _LONGEST_LINE and not rest.endswith("\n"):
            rest = self._handle.readline(_LONGEST_LINE)  # the row is refused for its length
        return line or None
