"""Masks kept in their boxes are mmdet's, in fewer bytes."""

import pickle

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks

from hpa_mmdet.datasets.cell_masks import CellMasks

SHAPE_HW = (60, 83)
BOXES = [(0, 0, 17, 9), (70, 41, 83, 60), (20, 10, 21, 50), (5, 5, 60, 33)]  # x1, y1, x2, y2


def both(count: int = len(BOXES)) -> tuple[CellMasks, BitmapMasks]:
    rng = np.random.default_rng(0)
    crops, whole = [], np.zeros((count, *SHAPE_HW), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(whole, BOXES[:count], strict=True):
        mask[y1:y2, x1:x2] = rng.integers(0, 2, (y2 - y1, x2 - x1))
        crops.append(mask[y1:y2, x1:x2].copy())
    corners = [(x1, y1) for x1, y1, _, _ in BOXES[:count]]
    return CellMasks(crops, corners, *SHAPE_HW), BitmapMasks(whole, *SHAPE_HW)


def assert_same(found: BitmapMasks, expected: BitmapMasks) -> None:
    assert (len(found), found.height, found.width) == (
        len(expected),
        expected.height,
        expected.width,
    )
    assert found.masks.dtype == expected.masks.dtype
    np.testing.assert_array_equal(found.masks, expected.masks)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_they_are_mmdets_before_and_after_a_pipe(count: int) -> None:
    mine, theirs = both(count)
    sent = pickle.dumps(mine)
    assert len(sent) < max(1000, len(pickle.dumps(theirs)) / 10)
    for found in (mine, pickle.loads(sent)):
        assert_same(found, theirs)


@pytest.mark.parametrize("count", [0, 4])
@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("value", [0, 1])
def test_padding_is_mmdets(count: int, used_before: bool, value: int) -> None:
    mine, theirs = both(count)
    if used_before:
        assert len(mine.masks) == count
    assert_same(mine.pad((64, 128), value), theirs.pad((64, 128), value))


def test_heads_get_mmdets_targets() -> None:
    mine, theirs = both()
    boxes = torch.tensor([[0.0, 0, 17, 9], [3.5, 4, 50, 30], [60, 30, 83, 60]])
    rows = torch.tensor([0, 3, 1])
    found = mine.crop_and_resize(boxes, (28, 28), rows, "cpu")
    assert_same(found, theirs.crop_and_resize(boxes, (28, 28), rows, "cpu"))
    assert_same(mine[np.array([2, 0])], theirs[np.array([2, 0])])
    np.testing.assert_array_equal(mine.areas, theirs.areas)
