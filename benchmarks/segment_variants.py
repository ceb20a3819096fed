"""Harder pictures made of given ones: uneven light, halos, debris, noise, other sizes.

H, W: height and width of a picture in pixels. The truth of a variant is that of its picture,
resized where the picture was. Brightness is added in units of the picture's own contrast: the
typical brightness of its nuclei less that of its background.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]


class Picture(NamedTuple):
    """A DNA stain with its nuclei, and what the variants are measured in.

    `plane` is (H, W) float32, `truth` an (H, W) int32 label image, `contrast` in units of
    brightness, `diameter` that of a typical nucleus in pixels.
    """

    plane: Plane
    truth: NDArray[np.int32]
    contrast: float
    diameter: float


Make = Callable[[Picture, np.random.Generator], tuple[Plane, NDArray[np.int32]]]


def picture_of(plane: NDArray[np.generic], truth: NDArray[np.integer]) -> Picture:
    """Measure a picture with at least one nucleus."""
    plane, truth = plane.astype(np.float32), truth.astype(np.int32)
    area = np.bincount(truth.ravel())[1:]
    contrast = float(np.median(plane[truth > 0]) - np.median(plane[truth == 0]))
    diameter = 2 * float(np.sqrt(np.median(area[area > 0]) / np.pi))
    return Picture(plane, truth, contrast, diameter)


def variants_of(picture: Picture, seed: int) -> Iterator[tuple[str, NDArray[np.uint16], Plane]]:
    """Make each variant; gives its name, the picture (H, W) uint16, and the truth."""
    for name, make in VARIANTS.items():
        plane, truth = make(picture, np.random.default_rng(seed))
        # 16 bit: nothing is lost by rounding, and nothing saturates
        largest = max(float(plane.max()), 1.0)
        yield name, (np.maximum(plane, 0) * (60000 / largest)).astype(np.uint16), truth


def _lit(low: float, high: float, down: bool) -> Make:
    """Light that changes from one side to the other by factors."""

    def make(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
        height, width = picture.plane.shape
        ramp = np.linspace(low, high, height if down else width, dtype=np.float32)
        return picture.plane * (ramp[:, None] if down else ramp[None]), picture.truth

    return make


def _slope(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """Light of the background that rises from corner to corner to twice the contrast."""
    height, width = picture.plane.shape
    rise = np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)[None]
    return picture.plane + (picture.contrast * rise).astype(np.float32), picture.truth


def _vignette(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """Light that falls to a third in the corners."""
    y, x = _unit_grid(picture.plane.shape)
    return picture.plane * (1 - (y**2 + x**2) / 3).astype(np.float32), picture.truth


def _halos(picture: Picture, rng: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """Six blurred lights, one to four times as bright as nuclei, as wide or up to thrice."""
    plane = picture.plane.copy()
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
    for _ in range(6):
        y, x = rng.uniform(0, plane.shape)
        wide = picture.diameter * rng.uniform(1, 3)
        light = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * wide**2))
        plane += picture.contrast * rng.uniform(1, 4) * light
    return plane, picture.truth


def _haze(picture: Picture, rng: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """Clouds as bright as nuclei, with structure of one to four diameters."""
    cloud = np.zeros_like(picture.plane)
    for wide in (1, 2, 4):
        noise = rng.normal(size=cloud.shape).astype(np.float32)
        soft = _blur(noise, wide * picture.diameter)
        cloud += soft / soft.std()
    cloud -= cloud.min()
    return picture.plane + picture.contrast * cloud / np.percentile(cloud, 95), picture.truth


def _debris(picture: Picture, rng: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """A hundred and fifty specks of a twentieth to a fifth of a diameter, as bright or thrice."""
    plane = picture.plane.copy()
    specks = np.zeros_like(plane)
    for _ in range(150):
        y, x = rng.integers(0, plane.shape)
        radius = max(1, round(picture.diameter * rng.uniform(0.05, 0.2) / 2))
        level = picture.contrast * float(rng.uniform(1, 3))
        cv2.circle(specks, (int(x), int(y)), radius, level, cv2.FILLED)
    return plane + _blur(specks, max(1.0, picture.diameter / 60)), picture.truth


def _noise(picture: Picture, rng: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """Noise of each pixel as strong as a quarter of the contrast."""
    noise = rng.normal(0, 0.25 * picture.contrast, picture.plane.shape).astype(np.float32)
    return picture.plane + noise - min(0.0, float((picture.plane + noise).min())), picture.truth


def _blurred(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """A little out of focus: by a twenty-fifth of a diameter."""
    return _blur(picture.plane, picture.diameter / 25), picture.truth


def _sized(factor: float) -> Make:
    """The picture at another size."""

    def make(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
        size_wh = tuple(round(side * factor) for side in picture.plane.shape[::-1])
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        truth = cv2.resize(
            picture.truth.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST
        )
        return cv2.resize(picture.plane, size_wh, interpolation=way), truth.astype(np.int32)

    return make


def _few(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """A crop of four diameters around the nucleus that is nearest to the middle."""
    middle = np.array(picture.truth.shape) / 2
    at = np.argwhere(picture.truth > 0)
    y, x = at[np.argmin(((at - middle) ** 2).sum(axis=1))]
    reach = round(2 * picture.diameter)
    box = (slice(max(0, y - reach), y + reach), slice(max(0, x - reach), x + reach))
    return picture.plane[box], picture.truth[box]


def _many(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """The picture three times beside and below itself, mirrored, at a third of the size."""
    plane, truth = _sized(1 / 3)(picture, np.random.default_rng(0))
    count = int(truth.max()) + 1
    rows = []
    for row in range(3):
        tiles = [_mirrored(truth, row, column) for column in range(3)]
        rows.append(
            np.hstack([np.where(t > 0, t + count * (3 * row + k), 0) for k, t in enumerate(tiles)])
        )
    planes = [np.hstack([_mirrored(plane, row, k) for k in range(3)]) for row in range(3)]
    return np.vstack(planes), np.vstack(rows).astype(np.int32)


def _mirrored(picture: NDArray, row: int, column: int) -> NDArray:
    return picture[:: -1 if row % 2 else 1, :: -1 if column % 2 else 1]


def _unit_grid(shape_hw: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns from -1 to 1."""
    return np.linspace(-1, 1, shape_hw[0])[:, None], np.linspace(-1, 1, shape_hw[1])[None]


def _blur(plane: Plane, sigma: float) -> Plane:
    """Blur by any width, at a reduced size where it is wide."""
    shrink = max(1.0, sigma / 8)
    size_wh = tuple(max(1, round(side / shrink)) for side in plane.shape[::-1])
    small = cv2.resize(plane, size_wh, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / shrink)
    return cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)


VARIANTS: dict[str, Make] = {
    "lit from the left": _lit(1.7, 0.3, down=False),
    "lit from below": _lit(0.3, 1.7, down=True),
    "slope": _slope,
    "vignette": _vignette,
    "halos": _halos,
    "haze": _haze,
    "debris": _debris,
    "noise": _noise,
    "blur": _blurred,
    "half size": _sized(0.5),
    "double size": _sized(2.0),
    "few": _few,
    "many": _many,
}
