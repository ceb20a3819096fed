"""What is predicted for an image: its cells, each with a mask and 19 probabilities.

N: cells of an image. K = 19 localizations. Boxes are in pixels, origin top left.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.localizations import NUM_LOCALIZATIONS


@dataclass(frozen=True, eq=False)
class CellPrediction:
    """One cell.

    Args:
        bbox_xywh: the tightest box around the mask, whole pixels: [0, 0, 1, 1] is the
            first pixel.
        counts: the mask as a COCO compressed RLE string over the whole image.
        area: pixels of the mask.
        cell_score: p(cell), 0 to 1.
        localization_scores: (19,) float32, p(k | cell), 0 to 1.
        cell_id: the value in the label image that the cell was given by; None where the
            model found the cell.
    """

    bbox_xywh: tuple[int, int, int, int]
    counts: str
    area: int
    cell_score: float
    localization_scores: NDArray[np.float32]
    cell_id: int | None = None

    @property
    def bbox_xyxy(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom; right and bottom are the first pixels outside."""
        x, y, width, height = self.bbox_xywh
        return (x, y, x + width, y + height)

    @property
    def class_scores(self) -> NDArray[np.float32]:
        """(19,) what a submission ranks: p(cell) * p(k | cell)."""
        return (self.cell_score * self.localization_scores).astype(np.float32)


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
    cells: tuple[CellPrediction, ...] = ()
    image_probs: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = field(default=())

    def rle(self, cell: CellPrediction) -> dict[str, Any]:
        """The mask of one of the cells as pycocotools takes it: size [H, W] and counts."""
        return {"size": [self.height, self.width], "counts": cell.counts}

    def localization_matrix(self) -> NDArray[np.float32]:
        """(N, 19) p(k | cell) of all cells."""
        rows = [cell.localization_scores for cell in self.cells]
        return np.array(rows, np.float32).reshape(-1, NUM_LOCALIZATIONS)
