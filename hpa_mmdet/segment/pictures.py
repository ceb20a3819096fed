"""Pictures to check a segmentation by eye."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import find_boundaries

from hpa_mmdet.io.atomic import atomic_path, save_image
from hpa_mmdet.io.pictures import read_picture
from hpa_mmdet.masks.label_image import shrink_labels
from hpa_mmdet.segment.protocol import Planes, Segmentation

PICTURE_LONGEST_PX = 1024
CELL_COLOUR, NUCLEUS_COLOUR = (255, 255, 255), (0, 255, 255)
COLOUR_OF = {
    "red": (255, 0, 0),
    "yellow": (130, 130, 0),
    "blue": (40, 60, 255),
    "green": (0, 140, 0),
}


def draw_outlines(planes: Planes, segmentation: Segmentation) -> NDArray[np.uint8]:
    """Draw cells in white and nuclei in cyan over the channels in colour.

    Each channel is stretched to its own brightest 0.2 % and brightened (gamma 0.6), so that
    faint cells can be judged.

    Returns:
        (h, w, 3) RGB, the longer side at most `PICTURE_LONGEST_PX`.
    """
    height, width = segmentation.cells.shape
    shrink = max(1.0, max(height, width) / PICTURE_LONGEST_PX)
    size_wh = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    picture = np.zeros((size_wh[1], size_wh[0], 3), np.float32)
    for name, plane in planes.items():
        small = cv2.resize(plane.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA)
        low, high = np.percentile(small, (1, 99.8))
        level = np.clip((small - low) / max(float(high - low), 1e-6), 0, 1) ** 0.6
        picture += level[..., None] * np.array(COLOUR_OF.get(name, (90, 90, 90)), np.float32)
    rgb = np.clip(picture, 0, 255).astype(np.uint8)
    for label_image, colour in (
        (segmentation.cells, CELL_COLOUR),
        (segmentation.nuclei, NUCLEUS_COLOUR),
    ):
        small_labels = shrink_labels(label_image, size_wh[::-1])
        rgb[find_boundaries(small_labels, mode="inner")] = colour
    return rgb


def write_picture(path: Path, rgb: NDArray[np.uint8]) -> None:
    """Write RGB as JPEG or PNG, whichever the name says."""
    with atomic_path(path) as temporary:
        save_image(Image.fromarray(rgb), temporary, quality=85)


def write_picture_sheet(
    path: Path, pictures: Sequence[Path], *, columns: int = 4, tile_px: int = 320
) -> None:
    """Write one picture of many, each fitted into a square tile, row by row."""
    rows = -(-len(pictures) // columns)
    sheet = np.zeros((rows * tile_px, min(columns, len(pictures)) * tile_px, 3), np.uint8)
    for at, picture in enumerate(pictures):
        rgb = np.asarray(read_picture(picture), np.uint8)
        fit = (tile_px - 4) / max(rgb.shape[:2])
        size_wh = (max(1, round(rgb.shape[1] * fit)), max(1, round(rgb.shape[0] * fit)))
        small = cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA)
        top, left = (at // columns) * tile_px + 2, (at % columns) * tile_px + 2
        sheet[top : top + size_wh[1], left : left + size_wh[0]] = small
    write_picture(path, sheet)
