"""Pictures of images with their true cells, ready for a page.

H, W: image height and width in pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels
from hpa_mmdet.masks.runs import runs_from_counts
from hpa_mmdet.pages.compose import mix_rgb, shrink, stretch_channels
from hpa_mmdet.pages.draw import DrawnCell, draw_cells, named, outline_runs


class Backdrop(NamedTuple):
    """An image as a picture: RGB, each stretched channel, and picture pixels per pixel."""

    rgb: NDArray[np.uint8]
    planes: NDArray[np.uint8]
    channels: tuple[str, ...]
    scale: float


def read_backdrop(image: CocoImage, folder: Path | None, longest_side_px: int) -> Backdrop:
    """Read and shrink the channels of an image; black where it has no pixels.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    channels = tuple(name for name in CHANNELS if name in image.channel_files)
    if folder is None or not channels:
        blank, scale = shrink(np.zeros(image.shape_hw, np.uint8), longest_side_px)
        planes = blank[..., None].astype(np.uint8)
        return Backdrop(planes.repeat(3, axis=2), planes[..., :0], (), scale)
    files = {name: folder / image.channel_files[name] for name in channels}
    pixels = read_channels(ImageFiles(image.hpa_id, files), channels)
    small, scale = shrink(pixels, longest_side_px)
    planes = stretch_channels(small)
    return Backdrop(mix_rgb(planes, channels), planes, channels, scale)


def true_cells(image: CocoImage) -> list[DrawnCell]:
    """Outline the cells of a COCO image with the names of their label sets."""
    return [
        named(outline_runs(runs_from_counts(cell.counts, image.shape_hw)), cell.hpa_indices)
        for cell in image.cells
    ]


def drawn_picture(backdrop: Backdrop, cells: Sequence[DrawnCell]) -> NDArray[np.uint8]:
    """Draw cells over the RGB picture of their image."""
    return draw_cells(backdrop.rgb, cells, scale=backdrop.scale)
