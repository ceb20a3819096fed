"""How far the cells of two label images overlap, and which of them match.

R, P: cells of the reference and of the prediction; E: pairs that meet.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching


class Overlaps(NamedTuple):
    """Areas shared by the cells of two label images, only where they meet.

    `reference_ids` (R,) and `predicted_ids` (P,) rise; `reference_area`, `predicted_area`
    are theirs in pixels. Entry e of E says that reference `row[e]` and prediction
    `column[e]` (positions, not ids) share `shared[e]` pixels.
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
    """Count shared pixels of all pairs of cells that meet.

    Rows of pixels with one pair of ids are taken at a time, and no table of all R x P pairs
    is made, so neither many pixels nor many cells cost much.

    Args:
        reference: (H, W) label image.
        predicted: (H, W) label image.

    Examples:
        >>> found = overlaps(np.array([[7, 7, 0]]), np.array([[0, 2, 2]]))
        >>> found.shared.tolist(), found.iou.round(2).tolist()
        ([1], [0.33])
    """
    one, two = reference.ravel(), predicted.ravel()
    if not one.size:
        return Overlaps(*(np.zeros(0, np.int64) for _ in range(7)))
    starts = np.flatnonzero((one[1:] != one[:-1]) | (two[1:] != two[:-1])) + 1
    starts = np.concatenate(([0], starts))
    lengths = np.diff(np.append(starts, one.size))
    reference_ids, row = np.unique(one[starts].astype(np.int64), return_inverse=True)
    predicted_ids, column = np.unique(two[starts].astype(np.int64), return_inverse=True)
    reference_area = np.bincount(row, lengths).astype(np.int64)
    predicted_area = np.bincount(column, lengths).astype(np.int64)
    pair, at = np.unique(row * len(predicted_ids) + column, return_inverse=True)
    shared = np.bincount(at, lengths).astype(np.int64)
    row, column = np.divmod(pair, len(predicted_ids))
    # background, id 0, stands first where there is any
    from_r, from_p = int(reference_ids[0] == 0), int(predicted_ids[0] == 0)
    meet = (row >= from_r) & (column >= from_p)
    return Overlaps(
        reference_ids[from_r:],
        predicted_ids[from_p:],
        reference_area[from_r:],
        predicted_area[from_p:],
        row[meet] - from_r,
        column[meet] - from_p,
        shared[meet],
    )


def count_matches(found: Overlaps, iou: float) -> int:
    """Match cells one to one, as many pairs with IoU >= `iou` as there can be; count them.

    Above 0.5 a cell has at most one such partner, so there is only one matching.
    """
    good = found.iou >= iou
    shape = (len(found.reference_ids), len(found.predicted_ids))
    if not good.any():
        return 0
    ones = np.ones(np.count_nonzero(good), np.int8)
    graph = coo_array((ones, (found.row[good], found.column[good])), shape=shape).tocsr()
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
