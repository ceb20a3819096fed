"""Predictions drawn over their images: overlay PNGs, and cells cut out for the gallery.

H, W: image height and width in pixels; C: channels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.inference.cells import CellPrediction, ImagePrediction
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.large_images import LargeImage
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.masks.runs import runs_from_counts
from hpa_mmdet.pages.compose import compose_rgb, shrink
from hpa_mmdet.pages.draw import NO_LABEL_COLOUR, DrawnCell, draw_cells, named, outline

_MOST_NAMES = 3


def draw_prediction(
    image: NDArray[np.integer] | LargeImage,
    channels: Sequence[str],
    prediction: ImagePrediction,
    calls: Calls,
    longest_side_px: int = 1536,
) -> NDArray[np.uint8]:
    """Outline and name the cells over their image.

    Args:
        image: (H, W, C) uint8 or uint16.
        channels: their names.
        prediction: of this image.
        calls: which cells are outlined and which classes named; see
            `drawn_cell`.
        longest_side_px: a larger image is shrunk to it.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    small, scale = (
        image.shrunk(longest_side_px)
        if isinstance(image, LargeImage)
        else shrink(image, longest_side_px)
    )
    picture = compose_rgb(small, channels)
    shape_hw = (prediction.height, prediction.width)
    drawn = [drawn_cell(cell, shape_hw, calls) for _, cell in calls.cells(prediction)]
    line_px = 2 if min(picture.shape[:2]) >= 400 else 1
    return draw_cells(picture, drawn, scale=scale, line_px=line_px)


def drawn_cell(cell: CellPrediction, shape_hw: tuple[int, int], calls: Calls) -> DrawnCell:
    """Outline one cell with the names and probabilities of its called classes.

    One of which no class is called is white, its likeliest class with a question mark.
    """
    x, y = cell.bbox_xywh[:2]
    outlined = outline(runs_from_counts(cell.counts, shape_hw).crop(), (x, y))
    called = calls.classes(cell)[:_MOST_NAMES]
    if not called:
        likeliest = int(cell.localization_scores.argmax())
        text = f"{LOCALIZATIONS[likeliest].short_name} {cell.localization_scores[likeliest]:.2f}?"
        return replace(outlined, lines=((text, NO_LABEL_COLOUR),))
    return named(outlined, called, [float(cell.localization_scores[k]) for k in called])


def write_overlay(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write an RGB picture as PNG."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, compress_level=3)
