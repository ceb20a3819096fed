"""Which cells people are shown, each once, and which classes they are said to show.

A submission ranks every detection, so it keeps weak ones and doubles; a table, a label image
or a picture must not. K = 19 classes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import read_json
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.overlap import shared_pixels, union_runs
from hpa_mmdet.masks.runs import MaskRuns, clip_runs
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

DEFAULT_CELL_SCORE = 0.5
DEFAULT_THRESHOLD = 0.5
THRESHOLDS_KEY = "thresholds"
"""Where the `meta` of a checkpoint may hold K of them."""

# a cell of which surer cells cover more than this is one of them, seen twice
_MOST_COVERED = 0.5


@dataclass(frozen=True)
class CallRules:
    """From which scores on something is said to be there.

    Args:
        thresholds: (K,) p(k | cell) from which on a class is called.
        cell_score: p(cell) from which on a found cell is called; given ones always are.
        source: where the thresholds are from.
    """

    thresholds: tuple[float, ...] = (DEFAULT_THRESHOLD,) * NUM_LOCALIZATIONS
    cell_score: float = DEFAULT_CELL_SCORE
    source: str = "untuned"

    def describe(self) -> str:
        """Give a line for people."""
        low, high = min(self.thresholds), max(self.thresholds)
        span = f"{low:.3g} for all" if low == high else f"{low:.3g} to {high:.3g}"
        return f"thresholds of called classes, {self.source}: {span}"

    def cells(self, prediction: ImagePrediction) -> list[tuple[int, CellPrediction]]:
        """Choose the cells of an image, each with its value in the label image.

        Returns:
            Given cells all, under their ids. Of found ones, the surest first, those sure
            enough of which surer ones cover at most half; their number is their place
            among all cells of the prediction, from 1.
        """
        chosen = []
        surer = _CoveredPixels(len(prediction.cells))
        numbered = enumerate(prediction.cells, start=1)
        for number, cell in sorted(numbered, key=lambda pair: -pair[1].cell_score):
            if cell.cell_id is not None:
                chosen.append((cell.cell_id, cell))
                continue
            if cell.cell_score < self.cell_score or not cell.area:
                continue
            if surer.count(cell.runs) <= _MOST_COVERED * cell.area:
                chosen.append((number, cell))
                surer.add(cell.runs)
        return chosen

    def classes(self, cell: CellPrediction) -> list[int]:
        """Choose the classes of a cell: hpa_index, the likeliest first."""
        scores = cell.localization_scores
        called = np.flatnonzero(scores >= np.asarray(self.thresholds, np.float32))
        return [int(k) for k in called[np.argsort(-scores[called], kind="stable")]]


class _CoveredPixels:
    """Pixels of the cells chosen so far; only cells whose boxes meet are compared."""

    def __init__(self, most: int) -> None:
        self._runs: list[MaskRuns] = []
        self._boxes = np.zeros((4, most), np.int64)  # left, top, right, bottom

    def add(self, runs: MaskRuns) -> None:
        x, y, width, height = runs.bbox_xywh
        self._boxes[:, len(self._runs)] = (x, y, x + width, y + height)
        self._runs.append(runs)

    def count(self, runs: MaskRuns) -> int:
        """Count the pixels of a cell that are covered."""
        x, y, width, height = runs.bbox_xywh
        left, top, right, bottom = self._boxes[:, : len(self._runs)]
        meets = (left < x + width) & (right > x) & (top < y + height) & (bottom > y)
        near = [clip_runs(self._runs[k], (x, y, width, height)) for k in np.flatnonzero(meets)]
        near = [other for other in near if other.starts.size]
        return shared_pixels(union_runs(near), runs) if near else 0


def check_probability(value: float, option: str) -> float:
    """Refuse what is not a probability, NaN included.

    Raises:
        InputError: it is outside of 0 to 1 or no number.
    """
    if math.isnan(value) or not 0 <= value <= 1:
        raise InputError(option, value, "a number from 0 to 1", "correct it")
    return value


def check_thresholds(values: Sequence[float], where: object) -> tuple[float, ...]:
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
    odd = [value for value in values if not 0 <= value <= 1]
    if odd:
        raise InputError(
            f"thresholds of {where}", odd[0], "numbers from 0 to 1", "correct the file"
        )
    return tuple(values)


def read_thresholds(path: Path) -> tuple[float, ...]:
    """Read K numbers: a JSON list, or the JSON of tools/evaluate.py.

    Of an evaluation they are the thresholds of highest F1 on its cells; a class that no
    cell shows there has 0.5.

    Raises:
        InputError: the file holds neither, or not K probabilities.
    """
    content = read_json(path)
    try:
        values = [float(value) for value in _tuned(content)]
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(
            path,
            f"{type(error).__name__}: {error}",
            f"a JSON list of {NUM_LOCALIZATIONS} numbers, or what tools/evaluate.py --json wrote",
            "correct the file",
        ) from error
    return check_thresholds(values, path)


def _tuned(content: Any) -> Any:
    """The list itself, or the thresholds in an evaluation."""
    if not isinstance(content, Mapping):
        return content
    tuned = [DEFAULT_THRESHOLD] * NUM_LOCALIZATIONS
    for row in content["cells"]["per_class"]:
        if row["threshold"] is not None:
            tuned[row["hpa_index"]] = row["threshold"]
    return tuned
