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

    Channels are taken one after the other, so that `planes` may read each when it is asked
    for, and none stays in memory.

    Raises:
        InputError: a channel is missing, sizes or depths do not fit, or a cell lies outside
            the image.
    """
    size = options.size_px
    pixels = np.empty((len(cells), size, size, len(options.channels)), np.uint8)
    windows = [_window_of(cell, options) for cell in cells]
    shape_hw: tuple[int, ...] | None = None
    for at, name in enumerate(options.channels):
        plane = None
        if name != MASK:
            plane = _prepare_plane(planes, name, options)
            shape_hw = _check_shape(name, plane.shape, shape_hw, cells)
        for row, window in enumerate(windows):
            pixels[row, ..., at] = 0 if window is None else _resize(window.cut(plane), options)
    largest = np.array([max(cell.bbox_xywh[2:]) for cell in cells], np.int64)
    clipped = largest > (options.window_px or np.iinfo(np.int64).max)
    return Crops(pixels, list(cells), clipped)


def _prepare_plane(
    planes: Mapping[str, _Plane], name: str, options: CropOptions
) -> NDArray[np.uint8]:
    """Give a channel as crops show it: 8 bit, cleaned where that is asked for."""
    if name not in planes:
        raise InputError(
            "image",
            f"channels {', '.join(planes)}",
            f"{name} among them",
            "add its files, or name other channels",
        )
    plane = scale_to_uint8(planes[name], options.white_level or 65535, f"channel {name}")
    return clean_channel(plane) if name == "green" and options.clean_green else plane


class _Window(NamedTuple):
    """What a crop shows: a part of the image, in its pixels.

    `drawn` is (h, w) 0 and 255, the cell's mask. `shown` is so too, from (shown_x, shown_y) on,
    what of the image is not blanked; None where all is shown.
    """

    cell: CellMask
    drawn: NDArray[np.uint8]
    left: int
    top: int
    width: int
    height: int
    shown: NDArray[np.uint8] | None
    shown_x: int
    shown_y: int

    def cut(self, plane: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """Cut the window out of a channel; None draws the cell's mask, 255 inside."""
        window = np.zeros((self.height, self.width), np.uint8)
        if plane is None:
            self._put(window, self.drawn, self.cell.bbox_xywh[:2])
        elif self.shown is None:
            self._put(window, plane, (0, 0))
        else:
            y, x = max(self.shown_y, 0), max(self.shown_x, 0)
            part = plane[y : self.shown_y + self.shown.shape[0], x:][
                :, : self.shown_x + self.shown.shape[1] - x
            ]
            shown = self.shown[y - self.shown_y :, x - self.shown_x :]
            self._put(window, part, (x, y), shown[: part.shape[0], : part.shape[1]])
        return window

    def _put(
        self,
        window: NDArray[np.uint8],
        part: NDArray[np.uint8],
        place_xy: tuple[int, int],
        shown: NDArray[np.uint8] | None = None,
    ) -> None:
        """Write a part of the image that begins at `place_xy`, black where it is not shown."""
        x, y = place_xy[0] - self.left, place_xy[1] - self.top
        x0, y0 = max(x, 0), max(y, 0)
        x1, y1 = min(x + part.shape[1], self.width), min(y + part.shape[0], self.height)
        of_part = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
        target = window[y0:y1, x0:x1]
        if shown is None:
            target[...] = part[of_part]
        elif target.size:
            cv2.bitwise_and(part[of_part], shown[of_part], dst=target)


def _window_of(cell: CellMask, options: CropOptions) -> _Window | None:
    """Find what a crop shows; None for a cell without a pixel."""
    if not cell.mask.size:
        return None
    radius = options.grow_px
    drawn = _white(cell.mask)
    shown = None
    if options.blank:
        shown = _white(grow_mask(cell.mask, radius)) if radius else drawn
    x, y = cell.bbox_xywh[:2]
    return _Window(cell, drawn, *_frame(cell.bbox_xywh, options), shown, x - radius, y - radius)


def _white(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Draw a mask, 255 inside."""
    return np.asarray(mask.view(np.uint8) * np.uint8(255), np.uint8)


def _resize(window: NDArray[np.uint8], options: CropOptions) -> NDArray[np.uint8]:
    """Resize a window to (S, S).

    A larger window is halved first, as often as that leaves no side smaller than the crop:
    means of areas keep small spots, and halves of whole pixels are many times as fast as
    areas of any size.
    """
    size = options.size_px
    halvings = [0 if options.linear else _halvings(side, size) for side in window.shape]
    for number in range(max(halvings)):
        height, width = (
            side >> (number < count) for side, count in zip(window.shape, halvings, strict=True)
        )
        window = np.asarray(cv2.resize(window, (width, height), interpolation=cv2.INTER_AREA))
    resized = cv2.resize(window, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.uint8)


def _halvings(side: int, size: int) -> int:
    """Count how often a side can be halved without becoming smaller than that of the crop."""
    return max(0, (side // size).bit_length() - 1)


def _frame(bbox_xywh: tuple[int, int, int, int], options: CropOptions) -> tuple[int, int, int, int]:
    """Give x, y, width and height of what a crop shows, in pixels of the image."""
    x, y, width, height = bbox_xywh
    margin = round(options.margin * max(width, height))
    if options.framing == "stretch":
        sides = [width + 2 * margin, height + 2 * margin]
    else:
        sides = [options.window_px or max(width, height) + 2 * margin] * 2
    if not options.linear:  # whole pixels, however often a side is halved
        steps = [1 << _halvings(side, options.size_px) for side in sides]
        sides = [-(-side // step) * step for side, step in zip(sides, steps, strict=True)]
    return x + (width - sides[0]) // 2, y + (height - sides[1]) // 2, sides[0], sides[1]


def _check_shape(
    name: str,
    found: tuple[int, ...],
    expected: tuple[int, ...] | None,
    cells: Sequence[CellMask],
) -> tuple[int, ...]:
    """Compare a channel with the ones before it, and the first one with the cells."""
    if expected is not None and found != expected:
        raise InputError(
            f"channel {name}",
            f"{found[1]}x{found[0]} pixels",
            f"{expected[1]}x{expected[0]} as the others",
            "export all channels of an image at one size",
        )
    for cell in cells if expected is None else ():
        x, y, width, height = cell.bbox_xywh
        if min(x, y) < 0 or x + width > found[1] or y + height > found[0]:
            raise InputError(
                f"cell {cell.cell_id}",
                f"a box to ({x + width}, {y + height})",
                f"one inside the image of {found[1]}x{found[0]} pixels",
                "give masks of the same image",
            )
    return found
