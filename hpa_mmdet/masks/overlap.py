"""Masks of one image compared and put together: overlap, union, vote.

Everything is computed from runs; no mask is decoded to pixels. U, T: masks.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from hpa_mmdet.masks.rle import Rle, as_bytes
from hpa_mmdet.masks.runs import MaskRuns


def mask_iou(detected: Sequence[Rle], truth: Sequence[Rle]) -> NDArray[np.float64]:
    """Compute intersection over union from run lengths.

    Args:
        detected: U COCO compressed masks of one image.
        truth: T of the same image.

    Returns:
        (U, T) in [0, 1]. A mask without pixels has 0 with all.
    """
    if not detected or not truth:
        return np.zeros((len(detected), len(truth)))
    iou = coco_mask.iou(list(detected), list(truth), [0] * len(truth))
    return np.nan_to_num(np.asarray(iou, dtype=np.float64))


def iou_matrix(all_counts: Sequence[str], shape_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Compute intersection over union of every pair of masks of one image, from their counts.

    Returns:
        (U, U) in [0, 1].
    """
    rles = [{"size": list(shape_hw), "counts": as_bytes(counts)} for counts in all_counts]
    return mask_iou(rles, rles)


def vote_runs(
    masks: Sequence[MaskRuns], weights: NDArray[np.float64], share: float = 0.5
) -> MaskRuns:
    """Give the pixels that at least `share` of the weight of the masks holds.

    Args:
        masks: one or more of one image.
        weights: (U,) one for each.
        share: 0 to 1; 0 asks for any mask that has the pixel.
    """
    if len(masks) == 1:
        return masks[0]
    places = np.concatenate([mask.starts for mask in masks] + [mask.ends for mask in masks])
    begun = np.repeat(weights, [mask.starts.size for mask in masks])
    change = np.concatenate([begun, -begun])
    order = np.argsort(places, kind="stable")
    places, change = places[order], change[order]
    last = np.append(places[1:] != places[:-1], True) if places.size else places.astype(bool)
    support = np.cumsum(change)[last]
    places = places[last]
    least = share * weights.sum()
    inside = support >= least - 1e-9 if share > 0 else support > 1e-9
    edge = np.flatnonzero(np.diff(np.concatenate(([False], inside)).astype(np.int8)))
    return MaskRuns(places[edge[0::2]], places[edge[1::2]], masks[0].shape_hw)


def union_runs(masks: Sequence[MaskRuns]) -> MaskRuns:
    """Give the pixels of any of the masks."""
    return vote_runs(masks, np.ones(len(masks)), share=0.0)


def shared_pixels(one: MaskRuns, other: MaskRuns) -> int:
    """Count the pixels that two masks of an image share."""
    return one.area + other.area - union_runs([one, other]).area
