"""Pooling inside cells: means and maxima by hand, small cells, overlaps, padding."""

import numpy as np
import pytest
import torch

from hpa_mmdet.models.cell_pooling import (
    coverage_from_boxes,
    coverage_from_masks,
    coverage_from_probs,
    pool_image,
    pool_maps_in_cells,
)


def test_mean_and_maximum_are_those_inside_each_mask() -> None:
    rng = np.random.default_rng(0)
    fine = torch.from_numpy(rng.normal(size=(3, 6, 10)).astype(np.float32))
    masks = torch.zeros(2, 6, 10)
    masks[0, 1:4, 2:5] = 1
    masks[1, 3:6, 4:9] = 1  # overlaps the first
    pooled = pool_maps_in_cells([fine], masks)
    assert pooled.shape == (2, 6)
    for mask, row in zip(masks.bool(), pooled, strict=True):
        inside = fine[:, mask]
        torch.testing.assert_close(row, torch.cat([inside.mean(1), inside.amax(1)]))


def test_a_coarse_map_weighs_its_pixels_by_how_much_of_them_the_cell_covers() -> None:
    fine, coarse = torch.zeros(1, 4, 4), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    mask = torch.zeros(1, 4, 4)
    mask[0, :2, :3] = 1  # the whole first coarse pixel, half of the second
    pooled = pool_maps_in_cells([fine, coarse], mask)[0]
    assert pooled.tolist() == pytest.approx([0, 0, (1 * 1 + 2 * 0.5) / 1.5, 2.0])


def test_a_cell_smaller_than_half_a_map_pixel_still_has_a_maximum() -> None:
    coarse = torch.tensor([[[5.0, 7.0]]])
    mask = torch.zeros(1, 4, 8)
    mask[0, 0, 0] = 1
    assert pool_maps_in_cells([torch.zeros(1, 4, 8), coarse], mask)[0, 3] == 5.0


@pytest.mark.parametrize("count", [pytest.param(0, id="no cells"), pytest.param(1, id="empty")])
def test_nothing_covered_gives_zeros(count: int) -> None:
    pooled = pool_maps_in_cells([torch.ones(2, 3, 5)], torch.zeros(count, 3, 5))
    assert pooled.shape == (count, 4)
    assert not pooled.any()


def test_image_pooling_is_mean_and_maximum_of_each_map() -> None:
    first, second = torch.arange(12.0).view(2, 2, 3), torch.ones(1, 1, 1)
    assert pool_image([first, second]).tolist() == [2.5, 8.5, 5, 11, 1, 1]


def test_masks_are_sampled_in_the_middle_of_map_pixels_and_padded() -> None:
    masks = torch.zeros(1, 8, 10, dtype=torch.uint8)
    masks[0, 2, 6] = 1  # the middle of map pixel (0, 1) at stride 4
    coverage = coverage_from_masks(masks, 4, (3, 4))
    assert torch.nonzero(coverage).tolist() == [[0, 0, 1]]


def test_small_masks_are_pasted_into_their_boxes() -> None:
    probs = torch.zeros(1, 2, 2)
    probs[0, :, 1] = 1  # the right half of the box
    coverage = coverage_from_probs(probs, torch.tensor([[8.0, 4.0, 24.0, 20.0]]), 4, (6, 8))
    expected = torch.zeros(6, 8)
    expected[1:5, 4:6] = 1
    assert torch.equal(coverage[0], expected)


def test_boxes_cover_what_their_middle_lies_in() -> None:
    coverage = coverage_from_boxes(torch.tensor([[8.0, 4.0, 24.0, 20.0]]), 4, (6, 8))
    expected = torch.zeros(6, 8)
    expected[1:5, 2:6] = 1
    assert torch.equal(coverage[0], expected)
