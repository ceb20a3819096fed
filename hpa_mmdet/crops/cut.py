"""Cells cut out of an image: the one function for stores, training and inference.

H, W: image height and width in pixels; N: cells; S: side of a crop in pixels; C: channels
of a crop.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.crops.cleaning import clean_channel
from hpa_mmdet.crops.masks import CellMask, clean_mask, grow_mask, restrict_cells
from hpa_mmdet.crops.options import MASK, CropOptions
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.depth import scale_to_uint8

_Plane = NDArray[np.integer]


class Crops(NamedTuple):
    """The crops of an image, in the order of its cells.

    Args:
        pixels: (N, S, S, C) uint8; all 0 for a cell without a pixel.
        cells: the masks that they were cut by, cleaned; a box without area is an empty crop.
        clipped: (N,) bool, whether the window is smaller than the cell (`fixed` framing).
    """

    pixels: NDArray[np.uint8]
    cells: list[CellMask]
    clipped: NDArray[np.bool_]


def cut_crops(
    planes: Mapping[str, _Plane],
    cells: Sequence[CellMask],
    options: CropOptions,
    *,
    nuclei: NDArray[np.integer] | None = None,
) -> Crops:
    """Cut cells out of an image. Every cell gives a crop, nothing is dropped.

    Args:
        planes: the channels by name, each (H, W) of 8 or 16 bit, `image[..., at]` of an
            array or files read one by one.
        cells: of that image, from `cells_of_image` or `cells_of_coco`.
        options: how.
        nuclei: (H, W) label image of nuclei, for the regions `nucleus` and `cytoplasm`.

    Raises:
        InputError: a channel is missing, sizes or depths do not fit, a cell lies outside the
            image, or nuclei are needed.
    """
    return cut_prepared(planes, prepare_cells(cells, options, nuclei), options)


def prepare_cells(
    cells: Sequence[CellMask], options: CropOptions, nuclei: NDArray[np.integer] | None = None
) -> list[CellMask]:
    """Restrict masks to the region that is asked for, and clean them.

    Raises:
        InputError: nuclei are needed, or are of another size than the image of the cells.
    """
    if options.region != "cell":
        if nuclei is None:
            raise InputError(
                f"--region {options.region}",
                problem="needs the nuclei of each image",
                remedy="give --nuclei DIR",
            )
        cells = restrict_cells(cells, nuclei, options.region)
    return [clean_mask(cell) for cell in cells]


def cut_prepared(
    planes: Mapping[str, _Plane], cells: Sequence[CellMask], options: CropOptions
) -> Crops:
    """Cut cells out of an image by masks that `prepare_cells` gave.

    Raises:
        InputError: a channel is missing, sizes or depths do not fit, or a cell lies outside
            the image.
    """
    shape_hw = _check_planes(planes, options)
    prepared = prepare_planes(planes, options)
    size = options.size_px
    pixels = np.empty((len(cells), size, size, len(options.channels)), np.uint8)
    clipped = np.zeros(len(cells), bool)
    for at, cell in enumerate(cells):
        x, y, width, height = cell.bbox_xywh
        if min(x, y) < 0 or x + width > shape_hw[1] or y + height > shape_hw[0]:
            raise InputError(
                f"cell {cell.cell_id}",
                f"a box to ({x + width}, {y + height})",
                f"one inside the image of {shape_hw[1]}x{shape_hw[0]} pixels",
                "give masks of the same image",
            )
        window = options.window_px
        clipped[at] = window is not None and max(width, height) > window
        pixels[at] = cut_cell(prepared, cell, options, shape_hw)
    return Crops(pixels, list(cells), clipped)


def prepare_planes(planes: Mapping[str, _Plane], options: CropOptions) -> list[NDArray[np.uint8]]:
    """Give the channels that crops show, cleaned where asked for, as 8 bit, in their order."""
    prepared = []
    for name in options.image_channels:
        plane = planes[name]
        if name == "green" and options.clean_green:
            plane = clean_channel(plane)
        prepared.append(scale_to_uint8(plane))
    return prepared


def cut_cell(
    planes: Sequence[NDArray[np.uint8]],
    cell: CellMask,
    options: CropOptions,
    shape_hw: tuple[int, int],
) -> NDArray[np.uint8]:
    """Cut one cell out of prepared planes: (S, S, C) uint8."""
    size, count = options.size_px, len(options.channels)
    if not cell.mask.size:
        return np.zeros((size, size, count), np.uint8)
    left, top, width, height = _window(cell.bbox_xywh, options)
    radius = options.grow_px
    mask = grow_mask(cell.mask, radius) if radius else cell.mask
    mask_x, mask_y = cell.bbox_xywh[0] - radius, cell.bbox_xywh[1] - radius

    # what of the window lies in the image and, where the rest is blanked, in the mask's box
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, shape_hw[1]), min(top + height, shape_hw[0])
    if options.blank:
        x0, y0 = max(x0, mask_x), max(y0, mask_y)
        x1, y1 = min(x1, mask_x + mask.shape[1]), min(y1, mask_y + mask.shape[0])
    shown = None
    if options.blank:
        shown = mask[y0 - mask_y : y1 - mask_y, x0 - mask_x : x1 - mask_x].view(np.uint8)
    shrinks = size < max(width, height) and not options.linear
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    crop = np.empty((size, size, count), np.uint8)
    window = np.zeros((height, width), np.uint8)
    at_image = 0
    for at, name in enumerate(options.channels):
        if name == MASK:
            plane = np.zeros((height, width), np.uint8)
            _draw_mask(plane, cell, left, top)
        else:  # the same part of the window is written anew for each channel
            part = planes[at_image][y0:y1, x0:x1]
            plane, at_image = window, at_image + 1
            plane[y0 - top : y1 - top, x0 - left : x1 - left] = (
                part if shown is None else part * shown
            )
        crop[..., at] = cv2.resize(plane, (size, size), interpolation=method)
    return crop


def _window(
    bbox_xywh: tuple[int, int, int, int], options: CropOptions
) -> tuple[int, int, int, int]:
    """Give x, y, width and height of what a crop shows, in pixels of the image."""
    x, y, width, height = bbox_xywh
    margin = round(options.margin * max(width, height))
    if options.framing == "stretch":
        return x - margin, y - margin, width + 2 * margin, height + 2 * margin
    side = options.window_px or max(width, height) + 2 * margin
    return x + (width - side) // 2, y + (height - side) // 2, side, side


def _draw_mask(plane: NDArray[np.uint8], cell: CellMask, left: int, top: int) -> None:
    """Set the cell's pixels of a plane that begins at (left, top) to 255."""
    x, y, width, height = cell.bbox_xywh
    x0, y0 = max(x, left), max(y, top)
    x1, y1 = min(x + width, left + plane.shape[1]), min(y + height, top + plane.shape[0])
    part = cell.mask[y0 - y : y1 - y, x0 - x : x1 - x]
    plane[y0 - top : y1 - top, x0 - left : x1 - left][part] = 255


def _check_planes(planes: Mapping[str, _Plane], options: CropOptions) -> tuple[int, int]:
    names = options.image_channels
    if lacking := [name for name in names if name not in planes]:
        raise InputError(
            "image",
            f"channels {', '.join(planes)}",
            f"{lacking[0]} among them",
            "add its files, or name other channels",
        )
    shape = planes[names[0]].shape
    for name in names[1:]:
        if planes[name].shape != shape:
            raise InputError(
                f"channel {name}",
                f"{planes[name].shape[1]}x{planes[name].shape[0]} pixels",
                f"{shape[1]}x{shape[0]} as {names[0]}",
                "export all channels of an image at one size",
            )
    return int(shape[0]), int(shape[1])
