"""From which probability on a class is called: read from what tools/evaluate.py tunes.

K = 19 classes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS

UNTUNED = 0.5
META_KEY = "thresholds"
"""Where the `meta` of a checkpoint may hold 19 of them."""


class Thresholds(NamedTuple):
    """(K,) p(k | cell) from which on a class is called, and where they are from."""

    values: tuple[float, ...]
    source: str

    def said(self) -> str:
        """A line for people."""
        low, high = min(self.values), max(self.values)
        span = f"{low:.3g} for all" if low == high else f"{low:.3g} to {high:.3g}"
        return f"thresholds of called classes, {self.source}: {span}"


DEFAULT = Thresholds((UNTUNED,) * NUM_LOCALIZATIONS, "untuned")


def read_thresholds(path: Path) -> tuple[float, ...]:
    """Read 19 numbers: a JSON list, or the JSON of tools/evaluate.py.

    Of an evaluation they are the thresholds of highest F1 on its cells; a class that no
    cell shows there has 0.5.

    Raises:
        InputError: the file holds neither, or not 19 probabilities.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, Mapping):
            content = _tuned(content)
        values = [float(each) for each in content]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            path,
            f"{type(error).__name__}: {error}",
            "a JSON list of 19 numbers, or what tools/evaluate.py --json wrote",
            "correct the file",
        ) from error
    return checked(values, path)


def checked(values: Sequence[float], where: object) -> tuple[float, ...]:
    """Refuse what is not one probability per class.

    Raises:
        InputError: another count, or a number outside 0..1.
    """
    if len(values) != NUM_LOCALIZATIONS:
        raise InputError(
            f"thresholds of {where}",
            f"{len(values)} numbers",
            f"{NUM_LOCALIZATIONS}, one per class",
            "correct the file",
        )
    odd = [each for each in values if not 0 <= each <= 1]
    if odd:
        raise InputError(
            f"thresholds of {where}", odd[0], "numbers from 0 to 1", "correct the file"
        )
    return tuple(values)


def of_checkpoint(meta: Mapping[str, Any], path: Path) -> Thresholds | None:
    """Take those that a checkpoint's `meta` holds, if any.

    Raises:
        InputError: they are not 19 probabilities.
    """
    values = meta.get(META_KEY)
    if values is None:
        return None
    return Thresholds(checked([float(each) for each in values], path), f"stored in {path.name}")


def _tuned(evaluation: Mapping[str, Any]) -> list[float]:
    tuned = [UNTUNED] * NUM_LOCALIZATIONS
    for row in evaluation["cells"]["per_class"]:
        if row["threshold"] is not None:
            tuned[row["hpa_index"]] = float(row["threshold"])
    return tuned
