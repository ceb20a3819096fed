"""Pixels that masks of one image share, from their runs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from hpa_mmdet.masks.runs import MaskRuns


def vote_runs(
    masks: Sequence[MaskRuns], weights: NDArray[np.float64], share: float = 0.5
) -> MaskRuns:
    """Pixels that at least `share` of the weight calls the cell's; 0 asks for any."""
    if len(masks) == 1:
        return masks[0]
    places = np.concatenate([mask.starts for mask in masks] + [mask.ends for mask in masks])
    signed = np.repeat(weights, [mask.starts.size for mask in masks])
    change = np.concatenate([signed, -signed])
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
    """Pixels of any of the masks."""
    return vote_runs(masks, np.ones(len(masks)), share=0.0)


def shared_pixels(one: MaskRuns, other: MaskRuns) -> int:
    """Count the pixels of both masks."""
    return one.area + other.area - union_runs([one, other]).area


def iou_matrix(all_counts: Sequence[str], shape_hw: tuple[int, int]) -> NDArray[np.float64]:
    """Intersection over union of every pair of masks of one image, from their RLE counts."""
    if not all_counts:
        return np.zeros((0, 0))
    rles = [{"size": list(shape_hw), "counts": counts} for counts in all_counts]
    matrix: NDArray[np.float64] = coco_mask.iou(rles, rles, [0] * len(rles))
    return matrix
