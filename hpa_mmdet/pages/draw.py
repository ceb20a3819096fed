"""Cells drawn over their image: outlines, and short names where they can be read.

H, W: image height and width in pixels. Points are (x, y) in pixels of the full-size image,
origin top left; a picture may be smaller than the image by `scale`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.masks.runs import MaskRuns

Colour = tuple[int, int, int]
NO_LABEL_COLOUR: Colour = (255, 255, 255)


@dataclass(frozen=True)
class DrawnCell:
    """One cell ready to be drawn.

    Attributes:
        contours: closed lines, each (N, 2) float (x, y).
        anchor_xy: the point inside the cell that is farthest from its outline.
        colour_rgb: of the outline.
        lines: text at the anchor, one entry a line, each with its colour.
    """

    contours: tuple[NDArray[np.float64], ...]
    anchor_xy: tuple[float, float]
    colour_rgb: Colour = NO_LABEL_COLOUR
    lines: tuple[tuple[str, Colour], ...] = field(default=())


def named(
    cell: DrawnCell, hpa_indices: Sequence[int], scores: Sequence[float] | None = None
) -> DrawnCell:
    """Give a cell the colour of its first localization and the short names of all.

    Args:
        cell: the outline.
        hpa_indices: 0..18, the most certain first.
        scores: written behind the names, two decimals.
    """
    lines = []
    for place, hpa_index in enumerate(hpa_indices):
        localization = LOCALIZATIONS[hpa_index]
        score = "" if scores is None else f" {scores[place]:.2f}"
        lines.append((localization.short_name + score, localization.colour_rgb))
    colour = lines[0][1] if lines else NO_LABEL_COLOUR
    return replace(cell, colour_rgb=colour, lines=tuple(lines))


def outline_runs(runs: MaskRuns) -> DrawnCell:
    """Outline a mask of the whole image; one without a pixel has no contour."""
    x, y, width, _ = runs.bbox_xywh
    return outline(runs.crop(), (x, y)) if width else DrawnCell((), (0.0, 0.0))


def outline(mask: NDArray[np.bool_], offset_xy: tuple[int, int] = (0, 0)) -> DrawnCell:
    """Outline one mask, (h, w) bool with at least one pixel, that lies at `offset_xy`."""
    padded = np.pad(mask.astype(np.uint8), 1)
    contours, _ = cv2.findContours(padded, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    offset = np.asarray(offset_xy, np.float64) - 1  # the padding
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 3)
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return DrawnCell(
        contours=tuple(contour[:, 0, :].astype(np.float64) + offset for contour in contours),
        anchor_xy=(float(x + offset[0]), float(y + offset[1])),
    )


def draw_cells(
    picture: NDArray[np.uint8],
    cells: Iterable[DrawnCell],
    *,
    scale: float = 1.0,
    line_px: int | None = None,
    text_px: int | None = None,
) -> NDArray[np.uint8]:
    """Draw outlines, then texts over them.

    Args:
        picture: (h, w, 3) uint8, not modified.
        cells: outlines in pixels of the full-size image.
        scale: picture pixels per image pixel.
        line_px: width of the outline; None for 2, or 1 on pictures below 400 pixels.
        text_px: height of the letters; 0 draws none, None chooses by the picture's size.

    Returns:
        (h, w, 3) uint8.
    """
    drawn = np.ascontiguousarray(picture).copy()
    shown = list(cells)
    if line_px is None:
        line_px = 2 if min(picture.shape[:2]) >= 400 else 1
    for cell in shown:
        for contour in cell.contours:
            # 4 binary places below the pixel: smooth lines on shrunken pictures
            points = np.rint(((contour + 0.5) * scale - 0.5) * 16).astype(np.int32)
            cv2.polylines(
                drawn, [points], True, cell.colour_rgb, line_px, lineType=cv2.LINE_AA, shift=4
            )
    if text_px is None:
        text_px = max(11, round(min(picture.shape[:2]) / 55))
    if text_px:
        drawn = _draw_texts(drawn, shown, scale, text_px)
    return drawn


def _draw_texts(
    picture: NDArray[np.uint8], cells: Sequence[DrawnCell], scale: float, text_px: int
) -> NDArray[np.uint8]:
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas, "RGBA")
    font = label_font(text_px)
    line_height = round(text_px * 1.25)
    taken: list[tuple[int, int, int, int]] = []
    for cell in cells:
        if not cell.lines:
            continue
        width = max(int(pen.textlength(text, font=font)) for text, _ in cell.lines) + 6
        height = line_height * len(cell.lines) + 4
        centre = (cell.anchor_xy[0] * scale, cell.anchor_xy[1] * scale)
        left, top = _free_place(centre, (width, height), canvas.size, taken)
        taken.append((left, top, left + width, top + height))
        pen.rectangle((left, top, left + width, top + height), fill=(0, 0, 0, 150))
        for place, (text, colour) in enumerate(cell.lines):
            y = top + 2 + place * line_height
            pen.text((left + 3, y), text, font=font, fill=_readable(colour))
    return np.asarray(canvas)


def _free_place(
    centre_xy: tuple[float, float],
    size_wh: tuple[int, int],
    picture_wh: tuple[int, int],
    taken: Sequence[tuple[int, int, int, int]],
) -> tuple[int, int]:
    """Find the place nearest the cell's middle, inside the picture, over no other text."""
    width, height = size_wh
    limit_x, limit_y = max(picture_wh[0] - width, 0), max(picture_wh[1] - height, 0)
    left = int(np.clip(centre_xy[0] - width / 2, 0, limit_x))
    middle = int(np.clip(centre_xy[1] - height / 2, 0, limit_y))
    for step in (0, 1, -1, 2, -2, 3, -3):
        top = int(np.clip(middle + step * (height // 2 + 1), 0, limit_y))
        box = (left, top, left + width, top + height)
        if not any(_overlap(box, other) for other in taken):
            return left, top
    return left, middle


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _readable(colour_rgb: Colour) -> Colour:
    """Lighten a colour until it reads on a dark ground."""
    red, green, blue = (value + (255 - value) * 2 // 5 for value in colour_rgb)
    return red, green, blue


@lru_cache(maxsize=8)
def label_font(text_px: int) -> ImageFont.FreeTypeFont:
    """Load the bold font that matplotlib ships: the same on a server without any font."""
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(path, text_px)


def localization_legend(
    hpa_indices: Iterable[int] | None = None,
) -> list[tuple[str, Colour]]:
    """Name and colour of the localizations (all 19, or those given) for `Page.add_legend`."""
    wanted = range(len(LOCALIZATIONS)) if hpa_indices is None else sorted(set(hpa_indices))
    return [(LOCALIZATIONS[index].name, LOCALIZATIONS[index].colour_rgb) for index in wanted]
