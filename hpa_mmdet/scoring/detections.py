"""Detections of one image as arrays: different masks, and (mask, class, confidence) triples.

U: different masks; D: detections; N: cells; K = 19 localizations.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import SubmissionRow
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.rle import Rle
from hpa_mmdet.scoring.truth import TruthImage


class MaskDetections(NamedTuple):
    """What was detected in one image.

    Args:
        masks: U COCO compressed masks of the whole image.
        mask_index: (D,) the mask of each detection.
        hpa_index: (D,) its class.
        scores: (D,) its confidence.
    """

    masks: Sequence[Rle]
    mask_index: NDArray[np.intp]
    hpa_index: NDArray[np.intp]
    scores: NDArray[np.float64]

    def class_scores(self) -> NDArray[np.float64]:
        """(U, K): the highest confidence of each mask for each class, 0 without one."""
        table = np.zeros((len(self.masks), NUM_LOCALIZATIONS))
        np.maximum.at(table, (self.mask_index, self.hpa_index), self.scores)
        return table

    def cell_scores(self) -> NDArray[np.float64]:
        """(U,): one score per mask, the chance that it shows any class at all.

        A submission holds p(cell) * p(k | cell) but not p(cell). 1 - prod(1 - confidence)
        ranks a mask by all its classes; the largest confidence alone would rank a sure
        cell of unsure class below an unsure cell.
        """
        return np.asarray(1.0 - np.prod(1.0 - self.class_scores(), axis=1))


def detections_of_row(row: SubmissionRow, truth: TruthImage) -> MaskDetections:
    """Give one row of a submission as arrays.

    Raises:
        InputError: the row's size is not its truth's, or a mask is damaged.
    """
    if (row.width, row.height) != (truth.width, truth.height):
        raise InputError(
            row.where,
            f"{row.width}x{row.height} pixels",
            f"{truth.width}x{truth.height} as in the truth",
            "give masks at the size of the original image",
        )
    counts = row.masks()
    index = {text: at for at, text in enumerate(counts)}
    classes, scores, texts = zip(*row.predictions, strict=True) if row.predictions else ((), (), ())
    return MaskDetections(
        [{"size": [row.height, row.width], "counts": text} for text in counts.values()],
        np.fromiter(map(index.__getitem__, texts), np.intp, len(texts)),
        np.fromiter(classes, np.intp, len(classes)),
        np.fromiter(scores, np.float64, len(scores)),
    )


def detections_of_cells(masks: Sequence[Rle], class_scores: NDArray[np.float64]) -> MaskDetections:
    """Give cells with a score for every class as detections, cell by cell.

    Args:
        masks: N, one per cell.
        class_scores: (N, K).
    """
    count = len(masks)
    return MaskDetections(
        masks,
        np.repeat(np.arange(count), NUM_LOCALIZATIONS),
        np.tile(np.arange(NUM_LOCALIZATIONS), count),
        np.asarray(class_scores, dtype=np.float64).reshape(-1),
    )
