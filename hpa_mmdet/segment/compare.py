"""How far two label images agree: overlaps, and cells matched, missed, split or merged."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


class Overlaps(NamedTuple):
    """Areas shared by the cells of two label images, only where they meet.

    `reference_ids` (R,) and `predicted_ids` (P,) rise; `reference_area`, `predicted_area`
    are theirs in pixels. Entry e says that reference `row[e]` and prediction `column[e]`
    (positions, not ids) share `shared[e]` pixels.
    """

    reference_ids: NDArray[np.int64]
    predicted_ids: NDArray[np.int64]
    reference_area: NDArray[np.int64]
    predicted_area: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    shared: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each entry."""
        union = self.reference_area[self.row] + self.predicted_area[self.column] - self.shared
        return self.shared / union


def overlaps(reference: NDArray[np.integer], predicted: NDArray[np.integer]) -> Overlaps:
    """Count shared pixels of all pairs of cells that meet, in one pass over both images.

    Args:
        reference: (H, W) label image.
        predicted: (H, W) label image.

    Examples:
        >>> found = overlaps(np.array([[7, 7, 0]]), np.array([[0, 2, 2]]))
        >>> found.shared.tolist(), found.iou.round(2).tolist()
        ([1], [0.33])
    """
    reference_ids, reference_at = np.unique(reference, return_inverse=True)
    predicted_ids, predicted_at = np.unique(predicted, return_inverse=True)
    width = len(predicted_ids)
    table = np.bincount(
        reference_at.ravel() * width + predicted_at.ravel(), minlength=len(reference_ids) * width
    ).reshape(len(reference_ids), width)
    keep_r, keep_p = reference_ids > 0, predicted_ids > 0
    reference_area, predicted_area = table.sum(1)[keep_r], table.sum(0)[keep_p]
    inner = table[keep_r][:, keep_p]
    row, column = np.nonzero(inner)
    return Overlaps(
        reference_ids[keep_r].astype(np.int64),
        predicted_ids[keep_p].astype(np.int64),
        reference_area,
        predicted_area,
        row,
        column,
        inner[row, column],
    )


def count_matches(found: Overlaps, iou: float) -> int:
    """Count pairs of a largest one-to-one matching with IoU >= `iou`."""
    good = found.iou >= iou
    table = np.zeros((len(found.reference_ids), len(found.predicted_ids)))
    table[found.row[good], found.column[good]] = 1
    rows, columns = linear_sum_assignment(table, maximize=True)
    return int(table[rows, columns].sum())
