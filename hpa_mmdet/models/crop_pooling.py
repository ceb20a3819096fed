"""Features of crops: maps pooled inside the cell of each crop, and images from their cells.

N: crops of a batch; B: images; C: channels of a map; h, w: its size; S: side of a crop in
pixels; D: length of a feature vector. A coverage is the share (0..1) of a map's pixel that
belongs to the cell.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

_NONE = -1e4  # below every activation, and finite in half precision


def pool_crops(maps: Sequence[Tensor], coverage: Tensor) -> Tensor:
    """Pool each map inside the cell, by mean and by maximum.

    Args:
        maps: each (N, C_l, h_l, w_l), finest first.
        coverage: (N, 1, S, S) in 0..1.

    Returns:
        (N, 2 * sum of C_l) float in the order of `cell_pooling.pool_maps_in_cells`: for each map the
        means, then the maxima. The mean is weighted by coverage; the maximum runs over map
        pixels that are at least half covered, or over the most covered ones where the cell is
        too small for that. A crop that nothing covers gives zeros.
    """
    parts: list[Tensor] = []
    for feature_map in maps:
        height, width = feature_map.shape[2:]
        share = F.adaptive_avg_pool2d(coverage.float(), (height, width))
        values = feature_map.float()
        parts.append((values * share).sum((2, 3)) / share.sum((2, 3)).clamp(min=1e-6))
        most = share.amax((2, 3), keepdim=True)
        inside = (share >= most.clamp(max=0.5)) & (share > 0)
        peak = values.masked_fill(~inside, _NONE).amax((2, 3))
        parts.append(peak.masked_fill(most[:, :, 0, 0] == 0, 0))
    return torch.cat(parts, dim=1)


def pool_bags(features: Tensor, bag_index: Tensor, num_bags: int, widths: Sequence[int]) -> Tensor:
    """Make features of images from those of their cells.

    Args:
        features: (N, D) of `pool_crops`.
        bag_index: (N,) the image of each crop, 0..B-1.
        num_bags: B.
        widths: C_l of each map; none for vectors, whose mean is taken.

    Returns:
        (B, D): the mean over the image's cells of what is a mean, the maximum of what is a
        maximum; zeros for an image without cells.
    """
    counts = torch.bincount(bag_index, minlength=num_bags)
    parts: list[Tensor] = []
    blocks = [width for width in widths for _ in "12"] or [features.shape[1]]
    for place, block in enumerate(features.split(blocks, 1)):
        pooled = block.new_zeros(num_bags, block.shape[1])
        if place % 2 == 0:
            pooled = pooled.index_add(0, bag_index, block) / counts.clamp(min=1)[:, None]
        else:
            rows = bag_index[:, None].expand_as(block)
            pooled = pooled.scatter_reduce(0, rows, block, "amax", include_self=False)
        parts.append(pooled)
    return torch.cat(parts, dim=1)
