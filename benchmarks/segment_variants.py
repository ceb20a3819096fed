"""Harder pictures made of given ones: uneven light, halos, debris, noise, other sizes.

H, W: height and width of a picture in pixels. The truth of a variant is that of its picture,
resized where the picture was. Brightness is added in units of the picture's own contrast: the
typical brightness of its nuclei less that of its background.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label

from hpa_mmdet.io.channels import find_images, read_channels
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.segment import WatershedSegmenter
from hpa_mmdet.segment.agreement import compare_cells

NUCLEI_SETS = ("ic100", "gnf", "ic100_uneven")
MOST_LOST = 0.1  # F1 that a single variant may lose before it is named

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


def variants_of(
    picture: Picture, seed: int
) -> Iterator[tuple[str, NDArray[np.uint16], NDArray[np.int32]]]:
    """Make each variant; gives its name, the picture (H, W) uint16, and (H, W) truth."""
    for name, make in VARIANTS.items():
        plane, truth = make(picture, np.random.default_rng(seed))
        # 16 bit: nothing is lost by rounding, and nothing saturates
        largest = max(float(plane.max()), 1.0)
        yield name, (np.maximum(plane, 0) * (60000 / largest)).astype(np.uint16), truth


def given_pictures(root: Path) -> Iterator[tuple[str, Picture]]:
    """Read all pictures of nuclei with a truth below the folder of real data."""
    for name in NUCLEI_SETS:
        folder = root / "coelho2009" / name
        for image in find_images(folder / "images", ("blue",), "{id}.png"):
            truth = read_label_image(folder / "labels" / f"{image.image_id}.png")
            plane = read_channels(image, ("blue",))[..., 0]
            yield f"{name}/{image.image_id}", picture_of(plane, truth)
    dense = root / "dsb2018_sample"
    if dense.is_dir():
        truth = read_label_image(dense / "labels.tif")
        yield "dsb2018_sample", picture_of(np.asarray(Image.open(dense / "image.tif")), truth)


def score_variants(pictures: Sequence[tuple[str, Picture]]) -> None:
    """Segment each picture and its variants, each with its own scale; print F1 at IoU 0.5."""
    lost: dict[str, list[float]] = {name: [] for name in VARIANTS}
    named: list[str] = []
    for seed, (name, picture) in enumerate(pictures):
        given = _f1(picture.plane.astype(np.uint16), picture.truth)
        print(f"{name}: F1 {given:.3f} as it is", flush=True)
        for variant, plane, truth in variants_of(picture, seed):
            f1 = _f1(plane, truth)
            lost[variant].append(given - f1)
            if given - f1 > MOST_LOST:
                named.append(f"{name} {variant} {f1:.3f} of {given:.3f}")
    for variant, losses in lost.items():
        print(f"variant {variant}: {-np.mean(losses):+.3f} on average, worst {-max(losses):+.3f}")
    everything = [loss for losses in lost.values() for loss in losses]
    print(f"{len(everything)} variants of {len(pictures)} pictures: {-np.mean(everything):+.3f}")
    print("more than a tenth lost: " + ("; ".join(named) or "none"))


def _f1(plane: NDArray[np.uint16], truth: NDArray[np.int32]) -> float:
    cells = WatershedSegmenter(nuclei_only=True)({"blue": plane}).cells
    return compare_cells(truth, cells, [0.5])[0].f1


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


def _few_photons(picture: Picture, rng: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """So dim that a typical nucleus has some twenty photons a pixel over a background of five."""
    above = np.clip(picture.plane - np.percentile(picture.plane, 1), 0, None)
    photons = rng.poisson(5 + 20 * above / picture.contrast)
    return (photons * picture.contrast / 20).astype(np.float32), picture.truth


def _gamma(picture: Picture, _: np.random.Generator) -> tuple[Plane, NDArray[np.int32]]:
    """Bright nuclei brighter, faint ones fainter."""
    bright = picture.plane / max(1.0, float(picture.plane.max()))
    return 10_000 * bright**1.6, picture.truth


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
    planes, truths = (
        np.vstack([np.hstack([_mirrored(part, row, k) for k in range(3)]) for row in range(3)])
        for part in (plane, truth)
    )
    # a nucleus that a seam cuts goes on in its mirror image: one id, in one piece
    return planes, label(truths, connectivity=1).astype(np.int32)


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
    "few photons": _few_photons,
    "gamma 1.6": _gamma,
    "blur": _blurred,
    "half size": _sized(0.5),
    "double size": _sized(2.0),
    "few": _few,
    "many": _many,
}
