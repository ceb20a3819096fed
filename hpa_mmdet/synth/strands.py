"""Filaments: many curved lines at once, each a walk that keeps to its cell.

F: filaments. Points are (row, column), in pixels of the cell's box.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.synth.geometry import CellGeometry
from hpa_mmdet.synth.texture import Field, splat

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Walk:
    """How filaments go.

    Args:
        step_um: length of one step.
        wander: radians that the direction changes by in a micrometre (deviation).
        shy_um: how far from the cell's border (and the nucleus, if it is avoided) a
            filament begins to turn along it; 0 lets it run straight into the wall.
        avoid_nucleus: whether the nucleus is a wall too.
        leave_cell: whether a filament may go on outside the cell.
    """

    step_um: float = 0.7
    wander: float = 0.12
    shy_um: float = 1.2
    avoid_nucleus: bool = True
    leave_cell: bool = False


def trace(
    cell: CellGeometry,
    starts_yx: Points,
    angles: NDArray[np.float64],
    lengths_um: NDArray[np.float64],
    walk: Walk,
) -> tuple[Points, NDArray[np.float64]]:
    """Let filaments grow.

    Args:
        cell: where they grow; they end at its border.
        starts_yx: (F, 2).
        angles: (F,) first directions, from the columns' axis towards the rows'.
        lengths_um: (F,) how long each may get.
        walk: how they go.

    Returns:
        (N, 2) points along all of them, at most 0.8 pixels apart, and the (N,) weights:
        light for each in proportion to the length it stands for.
    """
    rng = cell.rng
    steps = max(int(np.ceil(lengths_um.max() / walk.step_um)), 1)
    stride = cell.px(walk.step_um)
    push_y, push_x = _walls(cell, walk)
    bends = rng.standard_normal((steps, len(angles))) * walk.wander * np.sqrt(walk.step_um)
    # bends that last: a filament that curves goes on curving
    curl = rng.standard_normal(len(angles)) * walk.wander * 0.25 * walk.step_um
    height, width = cell.shape_hw
    track = np.empty((steps + 1, len(angles), 2))
    alive = np.empty((steps + 1, len(angles)), bool)
    track[0], alive[0] = starts_yx, True
    angles = angles.copy()
    y, x = starts_yx[:, 0].copy(), starts_yx[:, 1].copy()
    for step in range(steps):
        row = np.clip(y, 0, height - 1).astype(np.intp)
        column = np.clip(x, 0, width - 1).astype(np.intp)
        dy, dx = np.sin(angles), np.cos(angles)
        wall_y, wall_x = push_y[row, column], push_x[row, column]
        into_wall = np.minimum(dy * wall_y + dx * wall_x, 0)  # then slide along it
        dy, dx = dy - into_wall * wall_y, dx - into_wall * wall_x
        angles = np.arctan2(dy, dx) + bends[step] + curl
        y = y + stride * np.sin(angles)
        x = x + stride * np.cos(angles)
        track[step + 1, :, 0], track[step + 1, :, 1] = y, x
        alive[step + 1] = walk.leave_cell or cell.cell[row, column]
    ends = (np.arange(steps + 1)[:, None] * walk.step_um) <= lengths_um[None, :]
    alive &= ends
    alive = np.logical_and.accumulate(alive, axis=0)
    between = max(int(np.ceil(stride / 0.8)), 1)
    part = np.linspace(0, 1, between, endpoint=False)
    kept = alive[1:]
    first, second = track[:-1][kept], track[1:][kept]
    points = (first[:, None] + (second - first)[:, None] * part[None, :, None]).reshape(-1, 2)
    return points, np.full(len(points), stride / between)


def draw(
    cell: CellGeometry,
    starts_yx: Points,
    angles: NDArray[np.float64],
    lengths_um: NDArray[np.float64],
    walk: Walk,
    thick_um: float = 0.1,
) -> Field:
    """(h, w) light of filaments: `trace`, then a blur of `thick_um` (deviation)."""
    points, weights = trace(cell, starts_yx, angles, lengths_um, walk)
    return cell.blur(splat(cell.shape_hw, points, weights), thick_um)


def _walls(cell: CellGeometry, walk: Walk) -> tuple[Field, Field]:
    """Push away from the border, and from the nucleus, as (rows, columns) components."""
    if walk.shy_um <= 0:
        zero = np.zeros(cell.shape_hw, np.float32)
        return zero, zero
    height = np.exp(-cell.depth_um / walk.shy_um)
    if walk.avoid_nucleus:
        height += np.exp(-cell.from_nucleus_um / walk.shy_um)
    scale = -1.2 * walk.shy_um / cell.pixel_um / 8  # a 3x3 Sobel sums to eight slopes
    push_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=scale)
    push_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=scale)
    return push_y, push_x
