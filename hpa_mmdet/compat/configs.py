"""Configs from files and options: whatever is wrong with one is said in a sentence."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from hpa_mmdet.errors import InputError

_OPTIONS = "--cfg-options"


@contextmanager
def config_errors(where: object) -> Iterator[None]:
    """Turn what a config's mistake raises into an `InputError`.

    Args:
        where: the file, or the part of the config that is built inside.

    Raises:
        InputError: anything but `InputError` and `OSError` was raised inside. A config is
            Python and names classes of many packages, so its mistakes raise many kinds.
    """
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(
            where,
            problem=f"cannot be used ({type(error).__name__}: {text})",
            remedy=f"correct the config or {_OPTIONS}",
        ) from error


def read_config(path: Path, data_root: Path | None = None) -> Config:
    """Read a .py config of mmengine.

    Args:
        path: the file.
        data_root: of the data sets, which the shipped configs take from $HPA_DATA: bases copy
            values when they are read, so it must be known before that.

    Raises:
        InputError: there is no such file, or it does not load.
    """
    if not path.is_file():
        raise InputError(path, "no file", "a config", "see configs/")
    if data_root is not None:
        os.environ["HPA_DATA"] = str(data_root)
    try:
        with config_errors(path):
            return Config.fromfile(path)
    except OSError as error:
        raise InputError(
            path,
            problem=f"cannot be read ({error})",
            remedy="correct the names in its _base_",
        ) from error


def parse_options(words: Sequence[str] | None) -> dict[str, Any]:
    """Parse key=value words as mmengine's `DictAction` does.

    Raises:
        InputError: a word has no = or unbalanced brackets.

    Examples:
        >>> parse_options(["train_cfg.max_epochs=6", "a.b=(1,2)"])
        {'train_cfg.max_epochs': 6, 'a.b': (1, 2)}
    """
    options = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputError(_OPTIONS, repr(word), "key=value", "such as train_cfg.max_epochs=6")
        with config_errors(f"{_OPTIONS} {key}"):
            options[key] = DictAction._parse_iterable(value)
    return options


def apply_options(config: Config, options: Mapping[str, Any]) -> None:
    """Set values by dotted keys; an item of a list is named by its place or its `type`.

    `part._delete_=True` empties a part before its other values are set, whatever the order.

    Raises:
        InputError: a key's first part is not in the config, or an item is not in its list.
    """
    # the deletions first
    for key, value in sorted(options.items(), key=lambda item: not item[0].endswith("._delete_")):
        first = key.partition(".")[0]
        if first not in config and first not in _runner_arguments():
            close = difflib.get_close_matches(first, [*config, *_runner_arguments()], 1)
            hint = f"did you mean {close[0]}?" if close else "see the config"
            raise InputError(f"{_OPTIONS} {key}", problem=f"no {first} in the config", remedy=hint)
        place = _numbered(config, key)
        with config_errors(f"{_OPTIONS} {key}"):
            config.merge_from_dict({place: value})


def _numbered(config: Config, key: str) -> str:
    """Put places where a key names items of lists by their `type`."""
    node: Any = config
    parts = []
    for part in key.split("."):
        if isinstance(node, list | tuple) and not part.isdigit():
            types = [item.get("type") if isinstance(item, dict) else None for item in node]
            if types.count(part) != 1:
                count = types.count(part) or "no"
                raise InputError(
                    f"{_OPTIONS} {key}",
                    problem=f"{count} {part} in the list",
                    remedy=f"name one of {', '.join(str(name) for name in types)}, or its place",
                )
            part = str(types.index(part))
        parts.append(part)
        node = _child(node, part)
    return ".".join(parts)


def _child(node: Any, part: str) -> Any:
    if isinstance(node, list | tuple):
        return node[int(part)] if int(part) < len(node) else None
    return node.get(part) if isinstance(node, dict | Config) else None


def _runner_arguments() -> Sequence[str]:
    from mmengine.runner import Runner

    # what mmengine's Runner.from_cfg and Runner itself look for
    return [*signature(Runner).parameters, "activation_checkpointing", "compile", "runner_type"]
