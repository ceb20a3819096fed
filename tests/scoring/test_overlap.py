"""Overlaps from columns: the very quotients of pycocotools, for any masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from hpa_mmdet.scoring import overlap
from hpa_mmdet.scoring.matching import NO_MATCH, mask_iou, match_by_class
from hpa_mmdet.scoring.truth import rle_columns


def random_masks(rng: np.random.Generator, shape_hw: tuple[int, int]) -> list[dict]:
    """Boxes, boxes with holes, noise, blank and full ones; they overlap."""
    masks = []
    for _ in range(int(rng.integers(0, 5))):
        mask = np.zeros(shape_hw, np.uint8)
        y, x = (int(rng.integers(0, side)) for side in shape_hw)
        mask[y : y + int(rng.integers(0, 30)), x : x + int(rng.integers(0, 20))] = 1
        mask[rng.random(shape_hw) < rng.choice([0, 0, 0.05, 0.5])] = 0
        if rng.random() < 0.1:
            mask[:] = int(rng.integers(2))
        masks.append(coco_mask.encode(np.asfortranarray(mask)))
    return masks


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), least=st.sampled_from([0.0, 0.3, 0.6]))
def test_equal_to_pycocotools(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    shape_hw = int(rng.integers(1, 40)), int(rng.integers(1, 30))
    detected, truth = random_masks(rng, shape_hw), random_masks(rng, shape_hw)
    columns = [rle_columns(masks, shape_hw[0]) for masks in (detected, truth)]
    iou = overlap.columns_iou(*columns, least)
    expected = mask_iou(detected, truth)
    enough = expected >= least
    assert np.array_equal(iou[enough], expected[enough])
    assert np.all(iou[~enough] < least)


def test_masks_of_many_strips_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    shape_hw = (31, 17)
    noise = [
        coco_mask.encode(np.asfortranarray(rng.random(shape_hw) < share, np.uint8))
        for share in (0.2, 0.5, 0.9)
    ]
    columns = rle_columns(noise, shape_hw[0])
    drawn = overlap.columns_iou(columns, columns)
    assert np.array_equal(drawn, mask_iou(noise, noise))
    monkeypatch.setattr(overlap, "_MOST_STRIP_PAIRS", 10**6)
    monkeypatch.setattr(overlap, "_draw", None)
    assert np.array_equal(overlap.columns_iou(columns, columns), drawn)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), rows=st.sampled_from(["few", "many"]))
def test_the_best_truth_of_the_class_is_taken(seed: int, rows: str) -> None:
    rng = np.random.default_rng(seed)
    masks, cells = int(rng.integers(1, 6)), int(rng.integers(0, 5))
    # rounded: ties. Few: mostly at most one cell overlaps enough, the quick way
    iou = np.round(rng.random((masks, cells)) ** (4 if rows == "few" else 1), 1)
    localizations = rng.random((cells, 19)) < 0.3
    mask_index, hpa_index = rng.integers(0, masks, 40), rng.integers(0, 19, 40)
    best = match_by_class(iou, mask_index, hpa_index, localizations, 0.6)
    for at in range(40):
        expected, highest = NO_MATCH, 0.0
        for cell in range(cells):
            value = iou[mask_index[at], cell]
            if localizations[cell, hpa_index[at]] and value >= 0.6 and value > highest:
                expected, highest = cell, value
        assert best[at] == expected
