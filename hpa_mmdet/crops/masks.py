"""The masks that cells are cut out by: one small array per cell, cleaned.

H, W: image height and width in pixels. Axes are (row, column), origin top left.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hpa_mmdet.coco.parse import CocoCell
from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.runs import MaskRuns, masks_from_counts

_MOST_SLICES = 1 << 20  # ndimage.find_objects lists every id up to the highest


class CellMask(NamedTuple):
    """One cell: `mask` is (height, width) bool inside the box, which has no area if empty."""

    cell_id: int
    bbox_xywh: tuple[int, int, int, int]
    mask: NDArray[np.bool_]
    touches_border: bool


def cells_of_image(label_image: NDArray[np.integer]) -> list[CellMask]:
    """List the cells of a label image, (H, W) integer with 0 background, by rising id.

    Raises:
        InputError: it is not 2-D and integer.

    Examples:
        >>> cells_of_image(np.array([[0, 7, 7], [0, 0, 7]]))[0].bbox_xywh
        (1, 0, 2, 2)
    """
    if label_image.ndim != 2 or label_image.dtype.kind not in "ui":
        raise InputError(
            "label image",
            f"{label_image.ndim}-D {label_image.dtype}",
            "2-D integer",
            "save masks as 8, 16 or 32 bit label images, one id per cell",
        )
    if not label_image.any():
        return []
    if int(label_image.max()) < _MOST_SLICES:
        dense, ids = label_image, np.arange(int(label_image.max()) + 1)
    else:
        ids, places = np.unique(np.append(0, label_image), return_inverse=True)
        dense = places[1:].reshape(label_image.shape)
    boxes = ndimage.find_objects(dense.astype(np.int32, copy=False))
    cells = []
    for cell_id, box in zip(ids[1:].tolist(), boxes, strict=True):
        if box is not None:
            rows, columns = box
            bbox_xywh = (
                columns.start,
                rows.start,
                columns.stop - columns.start,
                rows.stop - rows.start,
            )
            mask = label_image[box] == cell_id
            cells.append(
                CellMask(cell_id, bbox_xywh, mask, _at_border(bbox_xywh, label_image.shape))
            )
    return cells


def cells_of_coco(cells: Sequence[CocoCell], shape_hw: tuple[int, int]) -> list[CellMask]:
    """List the cells of a COCO image in the file's order.

    Raises:
        InputError: a mask is not one of an image of this size.
    """
    masks = masks_from_counts([cell.counts for cell in cells], shape_hw, "mask of the COCO JSON")
    return [
        CellMask(cell.cell_id, runs.bbox_xywh, _draw(runs), runs.touches_border)
        for cell, runs in zip(cells, masks, strict=True)
    ]


def _draw(runs: MaskRuns) -> NDArray[np.bool_]:
    by_column = runs.crop().T.view(np.uint8)
    upright = cv2.transpose(by_column) if by_column.size else by_column.T
    return np.asarray(upright, np.uint8).view(bool)


def restrict_cells(
    cells: Sequence[CellMask], nuclei: NDArray[np.integer], region: str
) -> list[CellMask]:
    """Keep each cell's nucleus or cytoplasm alone.

    Args:
        cells: whole cells.
        nuclei: (H, W) label image; whatever is not 0 inside a cell is its nucleus.
        region: `nucleus` or `cytoplasm`; `cell` changes nothing.

    Returns:
        As many masks; one that is left empty has a box without area.

    Raises:
        InputError: a cell lies outside the image of the nuclei.
    """
    if region == "cell":
        return list(cells)
    kept = []
    for cell in cells:
        x, y, width, height = cell.bbox_xywh
        if x + width > nuclei.shape[1] or y + height > nuclei.shape[0]:
            raise InputError(
                f"cell {cell.cell_id}",
                f"nuclei of {nuclei.shape[1]}x{nuclei.shape[0]} pixels",
                "the size of the image of cells",
                "segment the image again",
            )
        is_nucleus = nuclei[y : y + height, x : x + width] != 0
        mask = cell.mask & (is_nucleus if region == "nucleus" else ~is_nucleus)
        kept.append(tighten(cell._replace(mask=mask)))
    return kept


def clean_mask(cell: CellMask) -> CellMask:
    """Keep the largest piece of a mask and fill its holes; pieces touch at corners too."""
    mask = np.ascontiguousarray(cell.mask, np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return tighten(cell)
    if len(outlines) > 1:
        _, pieces, of_piece, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        largest = 1 + int(of_piece[1:, cv2.CC_STAT_AREA].argmax())
        mask = (pieces == largest).astype(np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    left, top, width, height = cv2.boundingRect(outlines[0])
    filled = np.asarray(cv2.drawContours(mask, outlines, -1, 1, cv2.FILLED)).view(bool)
    box = (cell.bbox_xywh[0] + left, cell.bbox_xywh[1] + top, width, height)
    return cell._replace(bbox_xywh=box, mask=filled[top : top + height, left : left + width])


def tighten(cell: CellMask) -> CellMask:
    """Cut a mask and its box to the pixels that are set."""
    rows = np.asarray(cell.mask.any(axis=1))
    columns = np.asarray(cell.mask.any(axis=0))
    if not rows.any():
        x, y = cell.bbox_xywh[:2]
        return cell._replace(bbox_xywh=(x, y, 0, 0), mask=np.zeros((0, 0), bool))
    if rows[0] and rows[-1] and columns[0] and columns[-1]:
        return cell
    top, bottom = int(rows.argmax()), len(rows) - int(rows[::-1].argmax())
    left, right = int(columns.argmax()), len(columns) - int(columns[::-1].argmax())
    x, y = cell.bbox_xywh[0] + left, cell.bbox_xywh[1] + top
    return cell._replace(
        bbox_xywh=(x, y, right - left, bottom - top), mask=cell.mask[top:bottom, left:right]
    )


def grow_mask(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Grow a mask by a disk; the result is larger by the radius on every side."""
    padded = np.pad(mask.astype(np.uint8), radius_px)
    offsets = np.arange(-radius_px, radius_px + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius_px**2).astype(np.uint8)
    return np.asarray(cv2.dilate(padded, disk)) != 0


def _at_border(bbox_xywh: tuple[int, int, int, int], shape_hw: tuple[int, ...]) -> bool:
    x, y, width, height = bbox_xywh
    return x == 0 or y == 0 or x + width == shape_hw[1] or y + height == shape_hw[0]
