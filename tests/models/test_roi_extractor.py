"""Regions under mixed precision: coordinates are not rounded, results are float32's."""

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor

from hpa_mmdet.models import FloatRoIExtractor

ARGUMENTS = {
    "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 2},
    "out_channels": 1,
    "featmap_strides": [8, 16],
    "finest_scale": 56,
}
pytestmark = pytest.mark.usefixtures("mmdet_scope")


def ramps(dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Maps of an 800 x 1600 image that rise by 1 a column, near 0 where the regions lie.

    So a region's value says where it was looked for, and is exact in every type.
    """
    return tuple(
        (torch.arange(1600 // stride) - zero).expand(1, 1, 800 // stride, -1).to(dtype).contiguous()
        for stride, zero in ((8, 140), (16, 72))
    )


def rois() -> Tensor:
    """A small and a large region between the numbers that bfloat16 has (steps of 8)."""
    return torch.tensor([[0, 1107.0, 403, 1131, 427], [0, 1053.0, 311, 1253, 511]])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_boxes_are_where_they_are_in_float32(dtype: torch.dtype) -> None:
    exact = SingleRoIExtractor(**ARGUMENTS)(ramps(torch.float32), rois())
    with torch.autocast("cpu", torch.bfloat16):
        ours = FloatRoIExtractor(**ARGUMENTS)(ramps(dtype), rois())
    assert ours.dtype == dtype
    torch.testing.assert_close(ours.float(), exact, rtol=0, atol=0.02)  # of a column


def test_the_stock_extractor_does_round_them() -> None:
    exact = SingleRoIExtractor(**ARGUMENTS)(ramps(torch.float32), rois())
    stock = SingleRoIExtractor(**ARGUMENTS)(ramps(torch.bfloat16), rois())
    assert (stock.float() - exact).abs().max() > 0.15


def test_no_region_gives_no_features_and_gradients_reach_the_maps() -> None:
    extractor = FloatRoIExtractor(**ARGUMENTS)
    assert extractor(ramps(torch.bfloat16), torch.zeros(0, 5)).shape == (0, 1, 7, 7)
    maps = tuple(feature_map.requires_grad_() for feature_map in ramps(torch.bfloat16))
    extractor(maps, rois()).float().sum().backward()
    assert all(feature_map.grad is not None and feature_map.grad.any() for feature_map in maps)
