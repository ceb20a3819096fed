"""Random texture, and points turned into light.

All textures come from a few tiles of filtered white noise, made once a process from fixed
seeds; a random generator only chooses where to cut and how to turn them. h, w: height and
width of a cell's box in pixels. Points are (row, column), in pixels.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_TILE_PX = 512


@lru_cache(maxsize=96)
def _tile(sigma_px: float, size_px: int) -> Field:
    """A tile of Gaussian noise that wraps, filtered to `sigma_px`, mean 0, deviation 1."""
    white = np.random.default_rng([size_px, round(1000 * sigma_px)]).standard_normal(
        (size_px, size_px)
    )
    wave = 2 * np.pi * np.fft.fftfreq(size_px)
    damp = np.exp(-0.5 * (sigma_px * wave) ** 2)
    smooth = np.fft.ifft2(np.fft.fft2(white) * damp[:, None] * damp[None, :]).real
    smooth -= smooth.mean()
    return (smooth / smooth.std()).astype(np.float32)


def noise(rng: np.random.Generator, shape_hw: tuple[int, int], sigma_px: float) -> Field:
    """Cut a piece of smooth Gaussian noise, mean 0 and deviation 1 over the whole tile.

    Args:
        rng: chooses the place and the turn.
        shape_hw: size of the piece in pixels.
        sigma_px: deviation of the smoothing filter; grains are about three times as wide.
    """
    sigma_px = float(f"{sigma_px:.2g}")  # few tiles serve all
    size = _TILE_PX
    while size < 12 * sigma_px and size < 4096:
        size *= 2
    return _cut(rng, _tile(sigma_px, size), shape_hw)


def white(rng: np.random.Generator, shape_hw: tuple[int, int]) -> Field:
    """Cut a piece of white noise, mean 0 and deviation 1."""
    return _cut(rng, _tile(0.0, 1024), shape_hw)


def _cut(rng: np.random.Generator, tile: Field, shape_hw: tuple[int, int]) -> Field:
    """Cut from a tile at a random place, in one of eight turns; a large piece wraps round."""
    size, turn = len(tile), int(rng.integers(8))
    height, width = shape_hw if turn < 4 else shape_hw[::-1]
    if max(shape_hw) < size:
        y, x = rng.integers(size - height), rng.integers(size - width)
        piece = tile[y : y + height, x : x + width]
    else:
        y, x = rng.integers(size, size=2)
        rows, columns = (y + np.arange(height)) % size, (x + np.arange(width)) % size
        piece = tile[rows[:, None], columns[None, :]]
    piece = piece[:: 1 - 2 * (turn & 1), :: 1 - (turn & 2)]
    return piece if turn < 4 else piece.T


def splat(
    shape_hw: tuple[int, int], points_yx: NDArray[np.floating], weights: NDArray[np.floating]
) -> Field:
    """Add points of light to an empty plane, shared out over the four nearest pixels.

    Args:
        shape_hw: size of the plane.
        points_yx: (N, 2) in pixels; those outside are left out.
        weights: (N,) light of each.

    Examples:
        >>> splat((2, 3), np.array([[0.0, 1.5]]), np.array([2.0]))
        array([[0., 1., 1.],
               [0., 0., 0.]], dtype=float32)
    """
    height, width = shape_hw
    low = np.floor(points_yx).astype(np.intp)
    inside = (low >= 0).all(axis=1) & (low[:, 0] < height) & (low[:, 1] < width)
    low, weights = low[inside], weights[inside]
    part = points_yx[inside] - low
    row, column = low[:, 0], low[:, 1]
    next_row, next_column = np.minimum(row + 1, height - 1), np.minimum(column + 1, width - 1)
    down, right = part[:, 0], part[:, 1]
    index = np.concatenate(
        [
            row * width + column,
            row * width + next_column,
            next_row * width + column,
            next_row * width + next_column,
        ]
    )
    share = np.concatenate(
        [(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right]
    )
    light = np.bincount(index, share * np.tile(weights, 4), minlength=height * width)
    return light.reshape(height, width).astype(np.float32)


def gaussian_blur(plane: Field, sigma_px: float) -> Field:
    """Gaussian blur; below a tenth of a pixel there is nothing to do."""
    if sigma_px < 0.1:
        return plane
    out = cv2.GaussianBlur(plane, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(out, np.float32)


def soft_step(plane: NDArray[np.floating], width: float) -> Field:
    """Rise from 0 to 1 around zero, over about `width` on either side."""
    return np.clip(0.5 + plane / (2 * width), 0, 1).astype(np.float32)
