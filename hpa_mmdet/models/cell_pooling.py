"""Features of single cells: a network's maps pooled inside each cell's mask.

N: cells of an image; C: channels of a map; h, w: its size; H, W: the image's. A coverage
is the share (0..1) of a map's pixel that belongs to the cell.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def coverage_from_masks(masks: Tensor, stride: int, shape_hw: tuple[int, int]) -> Tensor:
    """Bring full-size masks to a map's resolution.

    Args:
        masks: (N, H, W) bool or uint8; may be smaller than `shape_hw` * stride (padding).
        stride: image pixels per map pixel.
        shape_hw: the map's (h, w).

    Returns:
        (N, h, w) float, each pixel sampled at its middle: exact enough at stride 4, and
        40 cells of a 2048-pixel image never become floats at full size.
    """
    middle = stride // 2
    sampled = masks[:, middle::stride, middle::stride].float()
    missing_h, missing_w = shape_hw[0] - sampled.shape[1], shape_hw[1] - sampled.shape[2]
    return F.pad(sampled, (0, missing_w, 0, missing_h))[:, : shape_hw[0], : shape_hw[1]]


def coverage_from_boxes(boxes_xyxy: Tensor, stride: int, shape_hw: tuple[int, int]) -> Tensor:
    """Let each cell cover its box.

    Args:
        boxes_xyxy: (N, 4) pixels, half-open.
        stride: image pixels per map pixel.
        shape_hw: the map's (h, w).

    Returns:
        (N, h, w) float, 1 where the map pixel's middle is in the box.
    """
    y = (torch.arange(shape_hw[0], device=boxes_xyxy.device) + 0.5) * stride
    x = (torch.arange(shape_hw[1], device=boxes_xyxy.device) + 0.5) * stride
    x1, y1, x2, y2 = boxes_xyxy.unbind(1)
    rows = (y >= y1[:, None]) & (y < y2[:, None])
    columns = (x >= x1[:, None]) & (x < x2[:, None])
    return (rows[:, :, None] & columns[:, None, :]).float()


def coverage_from_probs(
    mask_probs: Tensor, boxes_xyxy: Tensor, stride: int, shape_hw: tuple[int, int]
) -> Tensor:
    """Paste the mask head's small masks at a map's resolution.

    Args:
        mask_probs: (N, S, S) in 0..1, each stretched over its box.
        boxes_xyxy: (N, 4) pixels.
        stride: image pixels per map pixel.
        shape_hw: the map's (h, w).

    Returns:
        (N, h, w) float, 1 where the probability is at least 0.5.
    """
    y = (torch.arange(shape_hw[0], device=mask_probs.device) + 0.5) * stride
    x = (torch.arange(shape_hw[1], device=mask_probs.device) + 0.5) * stride
    x1, y1, x2, y2 = boxes_xyxy.float().unbind(1)
    grid_y = 2 * (y - y1[:, None]) / (y2 - y1).clamp(min=1)[:, None] - 1
    grid_x = 2 * (x - x1[:, None]) / (x2 - x1).clamp(min=1)[:, None] - 1
    count, (height, width) = len(mask_probs), shape_hw
    grid = torch.stack(
        [
            grid_x[:, None, :].expand(count, height, width),
            grid_y[:, :, None].expand(count, height, width),
        ],
        dim=-1,
    )
    pasted = F.grid_sample(mask_probs[:, None].float(), grid, align_corners=False)
    return (pasted[:, 0] >= 0.5).float()


def pool_maps_in_cells(maps: Sequence[Tensor], coverage: Tensor) -> Tensor:
    """Pool each map inside each cell, by mean and by maximum.

    Args:
        maps: finest first, each (C_l, h_l, w_l) of one image; each at least twice as
            coarse as the one before, and the first of `coverage`'s size.
        coverage: (N, h, w) at the finest map's resolution.

    Returns:
        (N, 2 * sum of C_l) float: for each map the means, then the maxima. The mean is
        weighted by coverage, the maximum runs over pixels at least half covered, or over
        all touched ones where a cell is too small for that. A cell that covers nothing
        gives zeros.
    """
    parts: list[Tensor] = []
    for feature_map in maps:
        height, width = feature_map.shape[1:]
        if coverage.shape[1:] != feature_map.shape[1:]:
            coverage = F.adaptive_avg_pool2d(coverage[:, None], (height, width))[:, 0]
        flat = coverage.flatten(1)
        weight = flat / flat.sum(1, keepdim=True).clamp(min=1e-6)
        parts.append(weight @ feature_map.flatten(1).t())
        parts.append(
            torch.stack([_peak(feature_map, cell) for cell in coverage])
            if len(coverage)
            else feature_map.new_zeros(0, feature_map.shape[0])
        )
    return torch.cat(parts, dim=1)


def pool_image(maps: Sequence[Tensor]) -> Tensor:
    """Pool each map over the whole image, by mean and by maximum.

    Args:
        maps: each (C_l, h_l, w_l) of one image.

    Returns:
        (2 * sum of C_l,) float.
    """
    return torch.cat([pooled for m in maps for pooled in (m.mean((1, 2)), m.amax((1, 2)))])


def _peak(feature_map: Tensor, coverage: Tensor) -> Tensor:
    """Maximum of a (C, h, w) map over a cell's (h, w) coverage, inside its box only."""
    rows = torch.nonzero(coverage.amax(1) > 0)
    if not len(rows):
        return feature_map.new_zeros(feature_map.shape[0])
    columns = torch.nonzero(coverage.amax(0) > 0)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    inside = coverage[top:bottom, left:right]
    chosen = inside >= 0.5 if bool((inside >= 0.5).any()) else inside > 0
    return feature_map[:, top:bottom, left:right][:, chosen].amax(1)
