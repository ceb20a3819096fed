"""Cells at the border and cells renumbered, against plain numpy."""

import numpy as np
import pytest

from hpa_mmdet.masks.border import boxes_touch_border, ids_at_border
from hpa_mmdet.masks.encode import encode_cells
from hpa_mmdet.masks.label_image import number_cells
from hpa_mmdet.masks.runs import runs_from_counts

SHAPE_HW = (23, 40)  # never square: swapped axes must fail


def some_cells(seed: int, dtype: type = np.uint16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    label_image = np.zeros(SHAPE_HW, dtype)
    for cell_id in rng.choice(np.arange(1, 250), size=6, replace=False):  # ids with gaps
        y, x = rng.integers(SHAPE_HW)
        label_image[y : y + 9, x : x + 11] = cell_id
    return label_image


@pytest.mark.parametrize("seed", range(6))
def test_cells_at_the_border(seed: int) -> None:
    label_image = some_cells(seed)
    inside = np.unique(np.pad(label_image[1:-1, 1:-1], 1))
    touching = [
        cell_id
        for cell_id in np.unique(label_image[label_image > 0]).tolist()
        if (label_image[1:-1, 1:-1] == cell_id).sum() < (label_image == cell_id).sum()
    ]
    assert ids_at_border(label_image).tolist() == touching
    cells = encode_cells(label_image)
    assert [cell.cell_id for cell in cells if cell.touches_border] == touching
    boxes = np.array([cell.bbox_xywh for cell in cells])
    assert boxes_touch_border(boxes, SHAPE_HW).tolist() == [c.touches_border for c in cells]
    masks = [runs_from_counts(cell.counts, SHAPE_HW) for cell in cells]
    assert [mask.touches_border for mask in masks] == [cell.touches_border for cell in cells]
    assert inside[0] == 0


@pytest.mark.parametrize(
    ("box", "touches"),
    [
        ((1, 1, 38, 21), False),
        ((0, 1, 3, 3), True),
        ((1, 0, 3, 3), True),
        ((1, 1, 39, 3), True),
        ((1, 1, 3, 22), True),
        ((-2, 5, 3, 3), True),
        ((18, 5, 5, 3), False),  # would touch were the image turned
    ],
)
def test_a_box_at_the_border(box: tuple[int, ...], touches: bool) -> None:
    assert boxes_touch_border(box, SHAPE_HW) is touches


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_cells_are_numbered_without_gaps(dtype: type) -> None:
    label_image = some_cells(3, dtype)
    numbered, ids = number_cells(label_image)
    assert numbered.dtype == np.int32
    assert ids.tolist() == np.unique(label_image[label_image > 0]).tolist()
    assert np.array_equal(np.append(0, ids)[numbered], label_image)


@pytest.mark.parametrize("shape_hw", [(3, 5), (0, 5)])
def test_no_cells_are_numbered(shape_hw: tuple[int, int]) -> None:
    numbered, ids = number_cells(np.zeros(shape_hw, np.uint16))
    assert (numbered.shape, numbered.any(), ids.size) == (shape_hw, False, 0)


@pytest.mark.parametrize("seed", range(4))
def test_the_runs_of_each_cell_are_its_pixels(seed: int) -> None:
    label_image = some_cells(seed)
    label_image[-3:, 30] = label_image[:5, 31] = 251  # one run over a column break
    cells = encode_cells(label_image)
    assert [cell.cell_id for cell in cells] == np.unique(label_image[label_image > 0]).tolist()
    for cell in cells:
        mask = runs_from_counts(cell.counts, SHAPE_HW)
        assert mask.to_counts() == cell.counts
        assert np.array_equal(mask.crop((0, 0, 40, 23)), label_image == cell.cell_id)
