"""Pooling of crops agrees with the pooling of whole images, one cell at a time."""

import pytest
import torch

from hpa_mmdet.models.cell_pooling import pool_maps_in_cells
from hpa_mmdet.models.crop_pooling import pool_bags, pool_crops


@pytest.fixture
def maps() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(3, width, side, side, generator=generator)
        for width, side in ((5, 16), (7, 8), (2, 4))
    ]


def test_each_crop_is_pooled_as_a_cell_of_an_image(maps: list[torch.Tensor]) -> None:
    coverage = torch.zeros(3, 1, 16, 16)
    coverage[0, :, 2:9, 3:15] = 1
    coverage[1, :, 7:8, 7:8] = 1  # one pixel: no map pixel is half covered
    coverage[2] = 1
    found = pool_crops(maps, coverage)
    for number in range(3):
        expected = pool_maps_in_cells([level[number] for level in maps], coverage[number])[0]
        means = [slice(0, 5), slice(10, 17), slice(24, 26)]
        for part in means:  # of a cell of one pixel, the maxima are of its most covered pixel
            torch.testing.assert_close(found[number, part], expected[part])
        if number != 1:
            torch.testing.assert_close(found[number], expected)
    torch.testing.assert_close(found[1, 5:10], maps[0][1, :, 7, 7])
    torch.testing.assert_close(found[1, 17:24], maps[1][1, :, 3, 3])


def test_a_crop_that_nothing_covers_gives_zeros(maps: list[torch.Tensor]) -> None:
    found = pool_crops(maps, torch.zeros(3, 1, 16, 16))
    assert torch.equal(found, torch.zeros(3, 28))


def test_images_are_means_of_means_and_maxima_of_maxima() -> None:
    features = torch.tensor([[1.0, -5.0, 2.0, 3.0], [3.0, -7.0, 4.0, -1.0], [8.0, 1.0, 0.0, 0.0]])
    found = pool_bags(features, torch.tensor([0, 0, 2]), 3, [1, 1])
    expected = [[2.0, -5.0, 3.0, 3.0], [0, 0, 0, 0], [8.0, 1.0, 0.0, 0.0]]
    assert found.tolist() == expected
