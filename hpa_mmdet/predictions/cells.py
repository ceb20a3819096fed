"""What is predicted for an image: its cells, each with a mask and 19 probabilities.

N: cells of an image. K = 19 localizations. Boxes are in pixels, origin top left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.runs import MaskRuns, runs_from_counts


@dataclass(frozen=True, eq=False)
class CellPrediction:
    """One cell.

    Args:
        counts: the mask as a COCO compressed RLE string over the whole image.
        shape_hw: height and width of the image.
        bbox_xywh: the tightest box around the mask, whole pixels: [0, 0, 1, 1] is the
            first pixel.
        area: pixels of the mask.
        cell_score: p(cell), 0 to 1.
        localization_scores: (19,) float32, p(k | cell), 0 to 1.
        cell_id: the value in the label image that the cell was given by; None where the
            model found the cell.
        embedding: (D,) float32 that describes the cell, of models that give one.
    """

    counts: str
    shape_hw: tuple[int, int]
    bbox_xywh: tuple[int, int, int, int]
    area: int
    cell_score: float
    localization_scores: NDArray[np.float32]
    cell_id: int | None = None
    embedding: NDArray[np.float32] | None = None

    @classmethod
    def of_runs(
        cls,
        runs: MaskRuns,
        cell_score: float,
        localization_scores: NDArray[np.floating],
        cell_id: int | None = None,
    ) -> "CellPrediction":
        """Make a cell of its mask; scores are cut to 0..1."""
        cell = cls(
            runs.to_counts(),
            runs.shape_hw,
            runs.bbox_xywh,
            runs.area,
            float(np.clip(cell_score, 0.0, 1.0)),
            np.clip(localization_scores, 0.0, 1.0).astype(np.float32),
            cell_id,
        )
        cell.__dict__["runs"] = runs  # fills the cached property
        return cell

    @cached_property
    def runs(self) -> MaskRuns:
        """The mask as runs of pixels."""
        return runs_from_counts(self.counts, self.shape_hw)

    @property
    def rle(self) -> dict[str, Any]:
        """The mask as pycocotools takes it: size [H, W] and counts."""
        return {"size": list(self.shape_hw), "counts": self.counts}

    @property
    def bbox_xyxy(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom; right and bottom are the first pixels outside."""
        x, y, width, height = self.bbox_xywh
        return (x, y, x + width, y + height)

    @property
    def class_scores(self) -> NDArray[np.float32]:
        """(19,) what a submission ranks: p(cell) * p(k | cell)."""
        return (self.cell_score * self.localization_scores).astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "runs"}


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """One image and its cells.

    Args:
        image_id: HPA image id.
        width: pixels.
        height: pixels.
        cells: by falling `cell_score`, or in the order of the masks that were given.
        image_probs: (19,) float32 of the image head, or None where there is none.
        notes: what a user should know, such as detections without a pixel that were
            left out.
    """

    image_id: str
    width: int
    height: int
    cells: Sequence[CellPrediction] = ()
    image_probs: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.height, self.width)

    @property
    def cell_scores(self) -> NDArray[np.float64]:
        """(N,) p(cell)."""
        return np.array([cell.cell_score for cell in self.cells], np.float64)

    @property
    def localization_scores(self) -> NDArray[np.float64]:
        """(N, 19) p(k | cell)."""
        rows = [cell.localization_scores for cell in self.cells]
        return np.array(rows, np.float64).reshape(-1, NUM_LOCALIZATIONS)

    @property
    def class_scores(self) -> NDArray[np.float64]:
        """(N, 19) what a submission ranks: p(cell) * p(k | cell)."""
        return self.cell_scores[:, None] * self.localization_scores
