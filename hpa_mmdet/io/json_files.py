"""Reading JSON strictly, and the file names in it.

Whatever is wrong with a JSON is an `InputError` that names the file: another encoding, NaN,
numbers past 64 bits, values nested too deeply, half a file. A file name that a JSON holds
never leads out of the folder it is meant for: `resolve_below`.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError

MAX_BYTES = 2**31
"""Largest JSON that is read whole; a data set of some million cells."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OTHER_ENCODINGS = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"),
                    (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))  # fmt: skip
LONGEST_PART = 255
"""Bytes of a file's or folder's name, on every common file system."""
_PLAIN_NAME = re.compile(r"[\w-][^\\/:\0]*")
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_WRITE_AGAIN = "write the file again as UTF-8 JSON"


def read_json(path: Path, *, max_bytes: int = MAX_BYTES, any_whole_number: bool = False) -> Any:
    """Read a JSON file whole.

    Args:
        path: the file.
        max_bytes: it may have.
        any_whole_number: as in `parse_json`.

    Raises:
        InputError: it cannot be opened, is larger than `max_bytes`, or as `parse_json`.
    """
    # not under a name here, so that the bytes are let go once they are text
    return parse_json(_content(path, max_bytes), path, any_whole_number=any_whole_number)


def read_json_object(
    path: Path, *, max_bytes: int = MAX_BYTES, any_whole_number: bool = False
) -> dict[str, Any]:
    """Read a JSON file that holds an object; see `read_json`.

    Raises:
        InputError: as `read_json`, or it holds something else.
    """
    content = read_json(path, max_bytes=max_bytes, any_whole_number=any_whole_number)
    return as_object(content, path)


def as_object(value: object, where: object) -> dict[str, Any]:
    """Give a JSON value as an object.

    Raises:
        InputError: it is another kind of value.
    """
    if not isinstance(value, dict):
        raise InputError(
            where, f"the entry {shorten(value)}", "a JSON object", "write the file again"
        )
    return value


def parse_json(data: bytes, where: object, *, any_whole_number: bool = False) -> Any:
    """Parse UTF-8 JSON, with or without a byte order mark.

    Args:
        data: the text.
        where: what an error names, such as the file.
        any_whole_number: let whole numbers past 64 bits through, up to Python's own limit of
            4,300 digits: a third faster, for callers that check each number they take.

    Raises:
        InputError: another encoding, not JSON, NaN or an infinite number, a whole number of
            more than 64 bits, values nested too deeply, or half a surrogate pair.

    Examples:
        >>> parse_json(b'{"a": [1, 2.5, null]}', "a.json")
        {'a': [1, 2.5, None]}
        >>> parse_json(b'[NaN]', "a.json")
        Traceback (most recent call last):
            ...
        hpa_mmdet.errors.InputError: a.json: not JSON (NaN is no number); write the file again as UTF-8 JSON
    """
    text = _decode(data, where)
    del data
    try:
        value = (_QUICK_DECODER if any_whole_number else _DECODER).decode(text)
        if _LONE_SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (RecursionError, UnicodeEncodeError, ValueError) as error:
        what = {
            RecursionError: "values are nested too deeply",
            UnicodeEncodeError: "half a surrogate pair",
        }.get(type(error), str(error)[:120])
        raise InputError(where, problem=f"not JSON ({what})", remedy=_WRITE_AGAIN) from error
    return value


def shorten(value: object, most: int = 60) -> str:
    """Show a value of a file in an error, cut to a readable length.

    Examples:
        >>> shorten("a" * 99, 9)
        "'aaaaa..."
    """
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # a number of thousands of digits
        return "a value too large to show"
    return text if len(text) <= most else text[: most - 3] + "..."


def resolve_below(root: Path, name: object, where: object) -> Path:
    """Give the path of a file that a JSON, manifest or index names below a folder.

    Links inside the folder are the user's own and are followed; the name itself must not
    lead out.

    Args:
        root: the folder.
        name: as the file holds it, with `/` between folders.
        where: what an error names.

    Raises:
        InputError: the name is no text, empty, absolute, or climbs out of the folder.

    Examples:
        >>> resolve_below(Path("data"), "plate/a_red.png", "a.json").as_posix()
        'data/plate/a_red.png'
        >>> resolve_below(Path("data"), "../a_red.png", "a.json")
        Traceback (most recent call last):
            ...
        hpa_mmdet.errors.InputError: a.json: file name '../a_red.png' leads out of data; give names below that folder
    """
    check_below(root, name, where)
    return root / str(name)


def check_below(root: Path, name: object, where: object) -> None:
    """Check a file name as `resolve_below` does.

    Raises:
        InputError: as `resolve_below`.
    """
    if isinstance(name, str) and len(name) < 60 and _PLAIN_NAME.fullmatch(name):
        return
    name = check_path(name, where)
    parts = re.split(r"[\\/]", os.path.normpath(name))
    if Path(name).is_absolute() or re.match(r"[A-Za-z]:|[\\/]", name) or ".." in parts:
        raise InputError(
            where,
            problem=f"file name {shorten(name)} leads out of {root}",
            remedy="give names below that folder",
        )


def check_path(name: object, where: object) -> str:
    """Check that a value can be a path at all, and give it.

    Raises:
        InputError: it is no text, empty, or longer than file systems take.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise InputError(where, f"file name {shorten(name)}", "a file name", "correct it")
    encoded = os.fsencode(name)
    if len(encoded) > 1000 or max(map(len, encoded.split(b"/"))) > LONGEST_PART:
        raise InputError(
            where, problem=f"file name {shorten(name)} is too long", remedy="correct it"
        )
    return name


def dump_json(value: Any) -> str:
    """Write a value for people to read: numpy values plain, NaN and infinite numbers null.

    Examples:
        >>> print(dump_json({"a": (1, float("nan"))}))
        {
         "a": [
          1,
          null
         ]
        }
    """
    return json.dumps(plain_values(value), indent=1, allow_nan=False)


def plain_values(value: Any) -> Any:
    """Make numpy values plain, and numbers that JSON cannot hold None.

    Examples:
        >>> plain_values({"a": (1, float("nan"))})
        {'a': [1, None]}
    """
    if isinstance(value, Mapping):
        return {key: plain_values(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return plain_values(value.tolist())
    if isinstance(value, list | tuple):
        return [plain_values(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _content(path: Path, max_bytes: int) -> bytes:
    try:
        if path.stat().st_size > max_bytes:
            raise InputError(
                path,
                f"{path.stat().st_size} bytes",
                f"at most {max_bytes}",
                "split it into several files",
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            path, problem=f"cannot be read ({error.strerror or error})", remedy="check the path"
        ) from error


def _decode(data: bytes, where: object) -> str:
    for mark, name in _OTHER_ENCODINGS:
        if data.startswith(mark):
            raise InputError(where, f"text in {name}", "UTF-8", _WRITE_AGAIN)
    if b"\0" in data[:4]:
        raise InputError(where, "text in UTF-16 or UTF-32", "UTF-8", _WRITE_AGAIN)
    try:
        return data.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            where, problem=f"not UTF-8 text at byte {error.start}", remedy=_WRITE_AGAIN
        ) from error


def _parse_int(digits: str) -> int:
    if len(digits) < 19:
        return int(digits)
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def _parse_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]}")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


_QUICK_DECODER = json.JSONDecoder(parse_float=_parse_float, parse_constant=_refuse_constant)
_DECODER = json.JSONDecoder(
    parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant
)
