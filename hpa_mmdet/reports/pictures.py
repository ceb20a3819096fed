"""Pictures of images with their cells, true or predicted, ready for a page.

H, W: image height and width in pixels.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels
from hpa_mmdet.io.submission import SubmissionRow
from hpa_mmdet.pages.compose import mix_rgb, shrink, stretch_channels
from hpa_mmdet.pages.draw import DrawnCell, cell_of_rle, draw_cells, named


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
    channels = tuple(each for each in CHANNELS if each in image.channel_files)
    if folder is None or not channels:
        blank, scale = shrink(np.zeros(image.shape_hw, np.uint8), longest_side_px)
        planes = blank[..., None].astype(np.uint8)
        return Backdrop(planes.repeat(3, axis=2), planes[..., :0], (), scale)
    files = {each: folder / image.channel_files[each] for each in channels}
    pixels = read_channels(ImageFiles(image.hpa_id, files), channels)
    small, scale = shrink(pixels, longest_side_px)
    planes = stretch_channels(small)
    return Backdrop(mix_rgb(planes, channels), planes, channels, scale)


def true_cells(image: CocoImage) -> list[DrawnCell]:
    """Outline the cells of a COCO image with the names of their label sets."""
    drawn = []
    for cell in image.cells:
        outlined = cell_of_rle({"size": list(image.shape_hw), "counts": cell.counts})
        if outlined is not None:
            drawn.append(named(outlined, cell.hpa_indices))
    return drawn


def predicted_cells(
    row: SubmissionRow,
    *,
    least_confidence: float = 0.25,
    most_labels: int = 3,
    least_shown: float = 0.5,
) -> list[DrawnCell]:
    """Outline the cells of a submission row with the names of their likeliest classes.

    A submission lists unlikely cells too, for the metric's sake. Drawn is a cell whose
    chance to show any class, 1 - prod(1 - confidence), is at least `least_shown`. It
    keeps its best class however unlikely that is, and up to `most_labels` of those with a
    confidence of at least `least_confidence`.
    """
    drawn = []
    for text, counts in row.masks().items():
        outlined = cell_of_rle({"size": [row.height, row.width], "counts": counts})
        if outlined is None:
            continue
        ranked = sorted(
            ((score, index) for index, score, mask in row.predictions if mask == text),
            key=lambda each: (-each[0], each[1]),
        )
        if 1 - math.prod(1 - score for score, _ in ranked) < least_shown:
            continue
        kept = [each for each in ranked[:most_labels] if each[0] >= least_confidence]
        kept = kept or ranked[:1]
        drawn.append(named(outlined, [k for _, k in kept], [score for score, _ in kept]))
    return drawn


def drawn_picture(backdrop: Backdrop, cells: Sequence[DrawnCell]) -> NDArray[np.uint8]:
    """Draw cells over the RGB picture of their image."""
    line_px = 2 if min(backdrop.rgb.shape[:2]) >= 400 else 1
    return draw_cells(backdrop.rgb, cells, scale=backdrop.scale, line_px=line_px)
