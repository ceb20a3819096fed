"""Training state as plain values, which a strict loader reads back."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log

_HISTORY = "history_buffer"
_KEEP = (str, bytes, int, float, bool, complex, type(None), torch.Tensor, torch.Size)


def to_plain(value: Any, where: str = "value") -> Any:
    """Copy nested containers with plain values in them.

    Histories become {"history_buffer": [values, counts, maximum length]}, numpy scalars
    become Python's, other mappings become dicts. What has no plain form (a function, an
    object) is left out of its container, with a warning that names it.

    Args:
        value: containers, numbers, text, tensors, arrays.
        where: what a warning calls `value`.
    """
    kept, plain = _convert(value, where)
    return plain if kept else None


def from_plain_hub(hub: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the histories of a message hub's plain state back into mmengine's objects."""
    scalars = {key: _history(value) for key, value in hub["log_scalars"].items()}
    return {**hub, "log_scalars": scalars}


def _convert(value: Any, where: str) -> tuple[bool, Any]:
    if isinstance(value, HistoryBuffer):
        values, counts = value.data
        return True, {_HISTORY: [values.tolist(), counts.tolist(), value.max_length]}
    if isinstance(value, np.generic):
        return True, value.item()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return True, value
    if type(value) in _KEEP or isinstance(value, torch.Tensor):
        return True, value
    if isinstance(value, Mapping):
        pairs = [(key, *_convert(item, f"{where}[{key!r}]")) for key, item in value.items()]
        return True, {key: item for key, kept, item in pairs if kept}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        items = [_convert(item, f"{where}[{i}]") for i, item in enumerate(value)]
        plain = [item for kept, item in items if kept]
        return True, tuple(plain) if isinstance(value, tuple) else plain
    print_log(
        f"{where} is a {type(value).__name__}, not plain data: not saved",
        "current",
        logging.WARNING,
    )
    return False, None


def _history(value: Any) -> Any:
    if not isinstance(value, Mapping) or _HISTORY not in value:
        return value
    values, counts, max_length = value[_HISTORY]
    return HistoryBuffer(values, counts, max_length)
