"""Options of a segmenter: fields of its dataclass that say their flag and what they mean.

A field with the metadata of `option` becomes an option of the command line. A field that is a dataclass
itself, such as `NucleusSize`, brings the options of its own fields.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

from hpa_mmdet.errors import InputError


def option(flag: str, text: str, *, counts: bool = True) -> dict[str, Any]:
    """Make the metadata of a dataclass field that is an option of the command line.

    A field without a default is an option that the method needs; False is that of a switch.

    Args:
        flag: such as `--cell-weights`.
        text: for `--help`.
        counts: whether the result depends on it as it stands. A path does not: the files
            that it names are listed by `Segmenter.depends_on`.
    """
    return {"flag": flag, "text": text, "counts": counts}


class Option(NamedTuple):
    """One option of a method."""

    flag: str
    text: str
    type: type
    default: Any


def options_of(method: type) -> Iterator[Option]:
    """List the options of a segmenter's dataclass."""
    hints = get_type_hints(method)
    for item in fields(method):
        kind = next((arg for arg in get_args(hints[item.name]) if arg is not type(None)), None)
        kind = kind or hints[item.name]
        if "flag" in item.metadata:
            yield Option(item.metadata["flag"], item.metadata["text"], kind, item.default)
        elif isinstance(kind, type) and is_dataclass(kind):
            yield from options_of(kind)


def add_options(group: argparse._ArgumentGroup, methods: Mapping[str, type]) -> None:
    """Add the options of all methods, each with the names of those that know it."""
    known: dict[str, Option] = {}
    owners: dict[str, list[str]] = {}
    for name, method in methods.items():
        for choice in options_of(method):
            known[choice.flag] = choice
            owners.setdefault(choice.flag, []).append(name)
    for flag, choice in known.items():
        default = (
            "" if choice.default in (MISSING, None, False) else f" (default: {choice.default})"
        )
        text = f"{', '.join(owners[flag])}: {choice.text}{default}"
        if choice.type is bool:
            group.add_argument(flag, action="store_true", default=argparse.SUPPRESS, help=text)
        else:
            group.add_argument(flag, type=choice.type, default=argparse.SUPPRESS, help=text)


def build_method(name: str, methods: Mapping[str, type], given: Mapping[str, Any]) -> Any:
    """Build the segmenter of a name.

    Args:
        name: a key of `methods`.
        methods: the dataclass of each.
        given: values by flag, only of those that the user gave.

    Raises:
        InputError: an option that the method needs is missing, or belongs to another one.
    """
    known = {choice.flag for choice in options_of(methods[name])}
    for flag in given:
        owners = [other for other, kind in methods.items() if _has(kind, flag)]
        if owners and flag not in known:
            raise InputError(
                flag,
                problem=f"belongs to --method {' or '.join(owners)}, not to {name}",
                remedy="drop one of the two",
            )
    return _build(name, methods[name], given)


def counted_values(segmenter: Any) -> list[tuple[str, Any]]:
    """List the fields of a segmenter that its result depends on, for a fingerprint."""
    return [
        (item.name, getattr(segmenter, item.name))
        for item in fields(segmenter)
        if item.metadata.get("counts", True)
    ]


def input_folders(segmenter: Any) -> list[Path]:
    """List the files and folders that a segmenter's options name."""
    values = (getattr(segmenter, item.name) for item in fields(segmenter))
    return [value for value in values if isinstance(value, Path)]


def _has(method: type, flag: str) -> bool:
    return any(choice.flag == flag for choice in options_of(method))


def _build(name: str, kind: type, given: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for item in fields(kind):
        flag: str | None = item.metadata.get("flag")
        if flag is not None and flag in given:
            values[item.name] = given[flag]
        elif flag is not None and item.default is MISSING:
            raise InputError(
                f"--method {name}", problem=f"needs {flag}", remedy=f"give {flag} PATH"
            )
        elif flag is None and is_dataclass(hints[item.name]):
            values[item.name] = _build(name, hints[item.name], given)
    return kind(**values)
