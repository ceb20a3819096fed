"""Masks compared and put together, against plain numpy on their pixels."""

import numpy as np
import pytest

from hpa_mmdet.masks.overlap import iou_matrix, mask_iou, shared_pixels, union_runs, vote_runs
from hpa_mmdet.masks.runs import MaskRuns, runs_of_crop

SHAPE_HW = (30, 44)  # never square: swapped axes must fail
EVERYTHING = (0, 0, 44, 30)


def random_masks(seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    masks = [rng.random(SHAPE_HW) < 0.5 for _ in range(5)]
    masks[0][:, 7] = masks[1][:, 7] = masks[2][:, 7] = True  # a full column
    return masks


def as_runs(mask: np.ndarray) -> MaskRuns:
    return runs_of_crop(mask, 0, 0, SHAPE_HW)


def as_rle(mask: MaskRuns) -> dict[str, object]:
    return {"size": list(SHAPE_HW), "counts": mask.to_counts().encode("ascii")}


@pytest.mark.parametrize("seed", range(6))
def test_votes_equal_a_count_of_pixels(seed: int) -> None:
    masks = random_masks(seed)
    weights = np.array([0.1, 0.3, 0.2, 0.25, 0.15])
    support = sum(weight * mask for weight, mask in zip(weights, masks, strict=True))
    runs = [as_runs(mask) for mask in masks]
    for share in (0.5, 0.7, 1.0):
        voted = vote_runs(runs, weights, share)
        assert np.array_equal(voted.crop(EVERYTHING), support >= share - 1e-9)
        assert voted.to_counts() == as_runs(voted.crop(EVERYTHING)).to_counts()
    assert np.array_equal(vote_runs(runs, weights).crop(EVERYTHING), support >= 0.5 - 1e-9)
    assert np.array_equal(vote_runs(runs[:2], weights[:2]).crop(EVERYTHING), masks[1])
    assert vote_runs(runs[:1], weights[:1]) is runs[0]


@pytest.mark.parametrize("seed", range(4))
def test_unions_and_overlaps_equal_those_of_pixels(seed: int) -> None:
    masks = random_masks(seed)
    runs = [as_runs(mask) for mask in masks]
    union = union_runs(runs)
    assert union.to_counts() == as_runs(np.any(masks, axis=0)).to_counts()
    assert union_runs(runs[:2]).area == (masks[0] | masks[1]).sum()
    assert shared_pixels(runs[0], runs[1]) == (masks[0] & masks[1]).sum()
    want = [[(a & b).sum() / (a | b).sum() for b in masks] for a in masks]
    assert iou_matrix([mask.to_counts() for mask in runs], SHAPE_HW) == pytest.approx(
        np.array(want)
    )
    some = mask_iou([as_rle(mask) for mask in runs[:2]], [as_rle(mask) for mask in runs])
    assert some == pytest.approx(np.array(want)[:2])


def test_masks_without_pixels_and_no_masks() -> None:
    empty = as_runs(np.zeros(SHAPE_HW, bool))
    assert vote_runs([empty, empty], np.ones(2)).area == 0
    assert union_runs([empty, as_runs(np.ones(SHAPE_HW, bool))]).area == 30 * 44
    assert iou_matrix([], SHAPE_HW).shape == (0, 0)
    assert mask_iou([], [as_rle(empty)] * 3).shape == (0, 3)
    assert mask_iou([as_rle(empty)], [as_rle(empty)]).tolist() == [[0.0]]
