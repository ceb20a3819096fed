"""Masks kept in their boxes are mmdet's, in fewer bytes."""

import pickle

import numpy as np
import pytest
import torch

from hpa_mmdet.compat import prepare

prepare()

from mmdet.structures.mask import BitmapMasks  # noqa: E402

from hpa_mmdet.compat.cell_masks import CellMasks, cut_cells  # noqa: E402
from hpa_mmdet.models.cell_pooling import coverage_from_masks  # noqa: E402

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
@pytest.mark.parametrize("value", [0, 1])
def test_padding_is_mmdets(count: int, value: int) -> None:
    mine, theirs = both(count)
    assert_same(mine.pad((64, 128), value), theirs.pad((64, 128), value))


@pytest.mark.parametrize("binarize", [True, False])
def test_heads_get_mmdets_targets(binarize: bool) -> None:
    mine, theirs = both()
    boxes = torch.tensor(
        [
            [0.0, 0, 17, 9],
            [3.5, 4, 50, 30],
            [60, 30, 83, 60],
            [71.3, 40.2, 82.9, 59.7],
            [-6, -9, 30, 20],  # past the image, at each of its sides
            [60, 35, 95, 75],
            [21.5, 9.2, 22.5, 51.3],  # beside the cell
        ]
    )
    rows = torch.tensor([0, 3, 1, 1, 0, 1, 2])
    found = mine.crop_and_resize(boxes, (28, 28), rows, "cpu", binarize=binarize)
    wanted = theirs.crop_and_resize(boxes, (28, 28), rows, "cpu", binarize=binarize)
    np.testing.assert_allclose(found.masks, wanted.masks, atol=1e-5)
    assert found.masks.any((1, 2)).tolist() == wanted.masks.any((1, 2)).tolist()
    none = mine.crop_and_resize(boxes[:0], (28, 28), rows[:0], "cpu")
    assert none.masks.shape == (0, 28, 28)


@pytest.mark.parametrize(
    "index", [2, np.array([2, 0]), slice(1, 3), torch.tensor([True, False, False, True])]
)
def test_rows_are_picked_as_mmdet_picks_them(index: object) -> None:
    mine, theirs = both()
    assert_same(mine[index], theirs[index])
    np.testing.assert_array_equal(mine.areas, theirs.areas)


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_sampling_equals_sampling_the_dense_masks(stride: int) -> None:
    mine, theirs = both()
    shape_hw = (64 // stride, 96 // stride)
    wanted = coverage_from_masks(torch.from_numpy(theirs.masks), stride, shape_hw)
    assert torch.equal(mine.sample(stride, shape_hw), wanted)
    small = (40 // stride, 48 // stride)  # a map smaller than the image
    wanted = coverage_from_masks(torch.from_numpy(theirs.masks), stride, small)
    assert torch.equal(mine.sample(stride, small), wanted)


def test_cells_are_cut_from_a_label_image() -> None:
    label_image = np.zeros(SHAPE_HW, np.uint16)
    label_image[5:20, 3:9] = 2
    label_image[30:33, 10:40] = 7
    label_image[50, 50] = 9
    values, boxes, masks = cut_cells(label_image, min_side_px=3)
    assert values == [2, 7]
    assert boxes.tolist() == [[3, 5, 9, 20], [10, 30, 40, 33]]
    np.testing.assert_array_equal(masks.masks, [label_image == 2, label_image == 7])
    values, boxes, masks = cut_cells(np.zeros(SHAPE_HW, np.uint16))
    assert (values, boxes.shape, len(masks)) == ([], (0, 4), 0)
