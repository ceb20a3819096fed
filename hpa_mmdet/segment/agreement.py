"""Two sets of masks of the same images: cells matched, missed, extra, split and merged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.segment.compare import Overlaps, count_matches, overlaps

_MOSTLY = 0.5  # of a piece's area inside the other cell


@dataclass(frozen=True)
class Agreement:
    """Counts of cells at one IoU.

    Args:
        reference: cells of the reference.
        predicted: cells of the other set.
        matched: pairs of a largest one-to-one matching.
        split: unmatched reference cells that hold most of two or more predicted ones.
        merged: unmatched predicted cells that hold most of two or more reference ones.
    """

    reference: int = 0
    predicted: int = 0
    matched: int = 0
    split: int = 0
    merged: int = 0

    @property
    def missed(self) -> int:
        """Reference cells without a match."""
        return self.reference - self.matched

    @property
    def extra(self) -> int:
        """Predicted cells without a match."""
        return self.predicted - self.matched

    @property
    def f1(self) -> float:
        """2 * matched / (reference + predicted); 1 where both are empty."""
        total = self.reference + self.predicted
        return 2 * self.matched / total if total else 1.0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(
            self.reference + other.reference,
            self.predicted + other.predicted,
            self.matched + other.matched,
            self.split + other.split,
            self.merged + other.merged,
        )


def compare_files(reference: Path, predicted: Path, ious: Sequence[float]) -> list[Agreement]:
    """Compare the label images of one picture at each IoU.

    Raises:
        InputError: one cannot be read, or they differ in size.
    """
    first, second = read_label_image(reference), read_label_image(predicted)
    if first.shape != second.shape:
        raise InputError(
            predicted,
            f"{second.shape[1]}x{second.shape[0]} pixels",
            f"{first.shape[1]}x{first.shape[0]} as {reference}",
            "compare masks of the same image at the same size",
        )
    return compare_cells(first, second, ious)


def compare_cells(
    reference: NDArray[np.integer], predicted: NDArray[np.integer], ious: Sequence[float]
) -> list[Agreement]:
    """Compare two label images of one size at each IoU.

    Args:
        reference: (H, W) label image.
        predicted: (H, W) label image.
        ious: a match has at least this intersection over union; at 0.5 or more a cell has
            one candidate at most.

    Examples:
        >>> halves, whole = np.array([[1, 1, 2, 2]]), np.array([[5, 5, 5, 5]])
        >>> compare_cells(whole, halves, [0.6])
        [Agreement(reference=1, predicted=2, matched=0, split=1, merged=0)]
    """
    found = overlaps(reference, predicted)
    return [_at(found, iou) for iou in ious]


def _at(found: Overlaps, iou: float) -> Agreement:
    good = found.iou >= iou
    within_reference = found.shared > _MOSTLY * found.predicted_area[found.column]
    within_predicted = found.shared > _MOSTLY * found.reference_area[found.row]
    pieces = np.bincount(found.row[within_reference], minlength=len(found.reference_ids))
    parts = np.bincount(found.column[within_predicted], minlength=len(found.predicted_ids))
    pieces[found.row[good]] = 0
    parts[found.column[good]] = 0
    return Agreement(
        reference=len(found.reference_ids),
        predicted=len(found.predicted_ids),
        matched=count_matches(found, iou),
        split=int((pieces >= 2).sum()),
        merged=int((parts >= 2).sum()),
    )
