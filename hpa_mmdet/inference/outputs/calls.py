"""What people are shown: cells that are sure enough, each once, and the classes they show.

A submission ranks every detection, so it keeps weak ones and doubles; a table or a label
image must not.
"""

from dataclasses import dataclass

import numpy as np

from hpa_mmdet.inference.cells import CellPrediction, ImagePrediction
from hpa_mmdet.inference.merge import union_runs
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.runs import MaskRuns, clip_runs, runs_from_counts

# a cell of which surer cells cover more than this is one of them, seen twice
_MOST_COVERED = 0.5


@dataclass(frozen=True)
class Calls:
    """From which scores on something is said to be there.

    Args:
        thresholds: (19,) p(k | cell) from which on a class is called.
        cell_score: p(cell) from which on a found cell is called; given ones always are.
    """

    thresholds: tuple[float, ...] = (0.5,) * NUM_LOCALIZATIONS
    cell_score: float = 0.5

    def cells(self, prediction: ImagePrediction) -> list[tuple[int, CellPrediction]]:
        """Choose the cells of an image, each with its value in the label image.

        Returns:
            Given cells all, under their ids. Of found ones, the surest first, those sure
            enough of which surer ones cover at most half; their number is their place
            among all cells of the prediction, from 1.
        """
        chosen = []
        surer = _Covered(len(prediction.cells))
        for number, cell in enumerate(prediction.cells, start=1):
            if cell.cell_id is not None:
                chosen.append((cell.cell_id, cell))
                continue
            if cell.cell_score < self.cell_score:
                continue
            runs = runs_from_counts(cell.counts, (prediction.height, prediction.width))
            if surer.pixels_of(runs) <= _MOST_COVERED * cell.area:
                chosen.append((number, cell))
                surer.add(runs)
        return chosen

    def classes(self, cell: CellPrediction) -> list[int]:
        """Choose the classes of a cell: hpa_index, the likeliest first."""
        scores = cell.localization_scores
        called = np.flatnonzero(scores >= np.asarray(self.thresholds, np.float32))
        return [int(k) for k in called[np.argsort(-scores[called], kind="stable")]]


class _Covered:
    """Pixels of the cells that were chosen; only those near a cell are looked at."""

    def __init__(self, most: int) -> None:
        self._runs: list[MaskRuns] = []
        self._boxes = np.zeros((4, most), np.int64)  # left, top, right, bottom

    def add(self, runs: MaskRuns) -> None:
        x, y, width, height = runs.bbox_xywh
        self._boxes[:, len(self._runs)] = (x, y, x + width, y + height)
        self._runs.append(runs)

    def pixels_of(self, runs: MaskRuns) -> int:
        """How many pixels of a cell are covered."""
        x, y, width, height = runs.bbox_xywh
        left, top, right, bottom = self._boxes[:, : len(self._runs)]
        meets = (left < x + width) & (right > x) & (top < y + height) & (bottom > y)
        near = [clip_runs(self._runs[k], (x, y, width, height)) for k in np.flatnonzero(meets)]
        near = [each for each in near if each.starts.size]
        if not near:
            return 0
        covered = union_runs(near)
        return covered.area + runs.area - union_runs([covered, runs]).area
