"""What the microscope adds: bleed-through, haze, uneven light, blur, debris, noise.

H, W: image height and width in pixels; four channels in the order red, green, blue, yellow.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.synth.texture import Field, gaussian_blur, noise, splat, white

_RED, _GREEN, _BLUE, _YELLOW = range(4)


@dataclass(frozen=True)
class Optics:
    """One image's optics and camera.

    Args:
        haze: light from other depths, as a share of what is in focus.
        bleed: (4, 4) share of channel j (column) that shows up in channel i (row).
        tilt: how much illumination falls off across the field, 0 to 1.
        blur_um: deviation of the point spread.
        photons: how many photons a full grey scale stands for.
        read_noise: deviation in grey values.
        specks: expected pieces of debris.
    """

    haze: float
    bleed: NDArray[np.float32]
    tilt: float
    blur_um: float
    photons: float
    read_noise: float
    specks: float


def draw_optics(rng: np.random.Generator) -> Optics:
    """Draw one image's optics; most images are sharp, a few are not."""
    bleed = np.eye(4, dtype=np.float32)
    for into, out in ((_GREEN, _RED), (_GREEN, _YELLOW), (_YELLOW, _RED), (_RED, _YELLOW)):
        bleed[into, out] = rng.gamma(0.7, 0.025)
    bleed[_GREEN, _BLUE] = bleed[_BLUE, _GREEN] = rng.gamma(0.5, 0.01)
    return Optics(
        haze=float(rng.gamma(1.5, 0.06)),
        bleed=bleed,
        tilt=float(rng.uniform(0, 0.35)),
        blur_um=float(0.05 + rng.gamma(1.2, 0.035)),
        photons=float(np.exp(rng.normal(np.log(350), 0.6))),
        read_noise=float(rng.uniform(0.3, 2.0)),
        specks=float(rng.choice([0.3, 1.5, 7.0])),
    )


def take_picture(
    rng: np.random.Generator, scene: NDArray[np.float32], pixel_um: float, optics: Optics
) -> NDArray[np.uint8]:
    """Look at a scene.

    Args:
        rng: decides noise and debris.
        scene: (4, H, W) grey values, as the stains glow. Overwritten.
        pixel_um: side of a pixel.
        optics: the image's.

    Returns:
        (H, W, 4) uint8.
    """
    shape_hw = scene.shape[1:]
    _add_debris(rng, scene, pixel_um, optics.specks)
    light = _illumination(rng, shape_hw, optics.tilt)
    picture = np.empty((*shape_hw, 4), np.uint8)
    mixed = np.tensordot(optics.bleed, scene, axes=1)
    for channel in range(4):
        plane = mixed[channel]
        plane += optics.haze * (_wide_blur(plane, 2.0 / pixel_um) + _wide_blur(plane, 9 / pixel_um))
        plane = gaussian_blur(plane * light, optics.blur_um / pixel_um)
        picture[..., channel] = _expose(rng, plane, optics)
    return picture


def _expose(rng: np.random.Generator, plane: Field, optics: Optics) -> NDArray[np.uint8]:
    """Photon and read noise; the black level is taken off, as HPA's pictures have it."""
    per_grey = optics.photons / 255
    grain = white(rng, plane.shape)
    # the square root of a Poisson variable has a deviation of about one half
    root = np.sqrt(np.maximum(plane, 0)) + grain * np.float32(0.5 / np.sqrt(per_grey))
    plane = np.square(np.maximum(root, 0)) - np.float32(0.25 / per_grey)
    read = white(rng, plane.shape) * np.float32(optics.read_noise)
    return np.clip(plane + read - 1.0, 0, 255).astype(np.uint8)


def _wide_blur(plane: Field, sigma_px: float) -> Field:
    """A wide blur at reduced size."""
    step = max(int(sigma_px / 2), 1)
    height, width = plane.shape
    size_wh = (max(width // step, 1), max(height // step, 1))
    small = np.asarray(cv2.resize(plane, size_wh, interpolation=cv2.INTER_AREA), np.float32)
    wide = cv2.resize(
        gaussian_blur(small, sigma_px / step), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(wide, np.float32)


def _illumination(rng: np.random.Generator, shape_hw: tuple[int, int], tilt: float) -> Field:
    rows = np.linspace(-1, 1, shape_hw[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, shape_hw[1], dtype=np.float32)[None, :]
    y, x = rng.uniform(-0.6, 0.6, 2).astype(np.float32)
    return 1 - np.float32(tilt / 2) * ((rows - y) ** 2 + (columns - x) ** 2)


def _add_debris(
    rng: np.random.Generator, scene: NDArray[np.float32], pixel_um: float, expected: float
) -> None:
    """Specks in single channels, and now and then a bright shred of a dead cell in all."""
    _, height, width = scene.shape
    for channel in range(4):
        number = int(rng.poisson(expected))
        places = rng.uniform(0, 1, (number, 2)) * (height, width)
        sigma_px = max(rng.uniform(0.15, 0.45) / pixel_um, 0.5)
        glow = rng.uniform(20, 220, number) * 2 * np.pi * sigma_px**2
        scene[channel] += gaussian_blur(splat((height, width), places, glow), sigma_px)
    if rng.random() < 0.12:
        side = min(int(rng.uniform(5, 12) / pixel_um), height, width)
        y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        lumps = np.clip(noise(rng, (side, side), 0.5 / pixel_um) + 0.5, 0, 2)
        edge = np.hanning(side).astype(np.float32)
        shred = lumps * np.clip(3 * edge[:, None] * edge[None, :] - 0.6, 0, 1)
        level = rng.uniform(20, 200, 4).astype(np.float32)
        scene[:, y : y + side, x : x + side] += level[:, None, None] * shred
