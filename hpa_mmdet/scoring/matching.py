"""Which truth a detection belongs to, image by image.

U: different masks of an image's detections; D: detections (a mask and a class each);
T: cells of the image's truth; K = 19 localizations.
"""

import numpy as np
from numpy.typing import NDArray

NO_MATCH = -1


def match_by_class(
    iou: NDArray[np.float64],
    mask_index: NDArray[np.intp],
    hpa_index: NDArray[np.intp],
    localizations: NDArray[np.bool_],
    threshold: float,
) -> NDArray[np.intp]:
    """Assign each detection to the truth of its class that it overlaps most.

    Args:
        iou: (U, T).
        mask_index: (D,) which mask a detection has.
        hpa_index: (D,) its class.
        localizations: (T, K) the classes of each cell.
        threshold: the least IoU that counts.

    Returns:
        (D,) index of the truth, or `NO_MATCH` where the best overlap is below `threshold`
        or no cell is of the class. Whether the truth is already taken by a detection of
        higher score is for the caller to see.
    """
    if iou.shape[1] == 0:
        return np.full(len(mask_index), NO_MATCH, dtype=np.intp)
    enough = iou >= threshold
    if (enough.sum(axis=1) <= 1).all():  # at most one truth to take
        only = enough.argmax(axis=1)[mask_index]
        found = enough[mask_index, only] & localizations[only, hpa_index]
        return np.where(found, only, NO_MATCH)
    of_class = np.where(localizations.T[hpa_index], iou[mask_index], -1.0)
    best = of_class.argmax(axis=1)
    found = of_class[np.arange(len(best)), best] >= threshold
    return np.where(found, best, NO_MATCH)


def match_masks(iou: NDArray[np.float64], threshold: float) -> NDArray[np.intp]:
    """Pair masks with truths one to one, whatever their class, best overlaps first.

    Args:
        iou: (U, T).
        threshold: the least IoU of a pair.

    Returns:
        (T,) the mask of each truth, or `NO_MATCH`.
    """
    mask_of_truth = np.full(iou.shape[1], NO_MATCH, dtype=np.intp)
    masks, truths = np.nonzero(iou >= threshold)
    taken: set[int] = set()
    for at in np.argsort(-iou[masks, truths], kind="stable"):
        mask, truth = int(masks[at]), int(truths[at])
        if mask_of_truth[truth] == NO_MATCH and mask not in taken:
            mask_of_truth[truth] = mask
            taken.add(mask)
    return mask_of_truth
