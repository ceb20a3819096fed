"""Run-length encoding of a label image, all cells in one pass.

H, W: image height and width in pixels; N: cells; R: runs of all cells together. Axes are
(row, column), origin top left. Boxes are [x, y, width, height] in whole pixels;
[0, 0, 1, 1] is the first pixel.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.border import boxes_touch_border

Integers = NDArray[np.integer]


class EncodedCell(NamedTuple):
    """One cell: `counts` is COCO's compressed run-length string of the full-size mask."""

    cell_id: int
    counts: str
    area: int
    bbox_xywh: tuple[int, int, int, int]
    touches_border: bool


def encode_cells(label_image: Integers, where: object = "label image") -> list[EncodedCell]:
    """Encode every cell of a label image as a compressed column-major mask.

    The image is scanned once, however many cells it holds.

    Args:
        label_image: (H, W) integer; 0 is background, k > 0 is cell k. Ids may have gaps
            and a cell may have several parts. Not modified.
        where: what an error names, such as the file.

    Returns:
        One entry per cell, by rising id; empty for an image without cells. `counts`,
        `area` in pixels and the tightest `bbox_xywh` equal those of pycocotools.

    Raises:
        InputError: `label_image` is not 2-D, not integer, or has a negative id.

    Source:
        COCO compressed RLE, as common/maskApi.c of pycocotools defines it.

    Examples:
        >>> encode_cells(np.array([[0, 7, 7], [0, 0, 7]], np.uint16))
        [EncodedCell(cell_id=7, counts='2111', area=3, bbox_xywh=(1, 0, 2, 2), touches_border=True)]
    """
    _check(label_image, where)
    cell_of_run, start, end = _runs_by_cell(label_image)
    if not cell_of_run.size:
        return []
    height, width = label_image.shape
    first = np.flatnonzero(np.concatenate(([True], cell_of_run[1:] != cell_of_run[:-1])))
    cell_ids = cell_of_run[first].tolist()
    areas = np.add.reduceat(end - start, first).tolist()
    boxes = _boxes_of_runs(start, end, first, height)
    touching = boxes_touch_border(boxes, (height, width))
    all_counts = _compress(start, end, first, (height, width))
    return [
        EncodedCell(cell_id, counts, area, (x, y, w, h), touches)
        for cell_id, counts, area, (x, y, w, h), touches in zip(
            cell_ids, all_counts, areas, boxes.tolist(), touching.tolist(), strict=True
        )
    ]


def _check(label_image: Integers, where: object) -> None:
    if label_image.ndim != 2 or not np.issubdtype(label_image.dtype, np.integer):
        raise InputError(
            where,
            f"{label_image.ndim}-D {label_image.dtype}",
            "2-D integer",
            "save masks as 8, 16 or 32 bit label images, one id per cell",
        )
    if np.issubdtype(label_image.dtype, np.signedinteger) and label_image.min(initial=0) < 0:
        raise InputError(
            where, f"id {label_image.min()}", "ids >= 0", "use 0 for background, k for cell k"
        )


def _runs_by_cell(label_image: Integers) -> tuple[Integers, Integers, Integers]:
    """Give (R,) cell id, first and past-the-last column-major index of every cell's runs.

    Sorted by cell id, then by position.
    """
    if not label_image.size:
        nothing = np.empty(0, np.intp)
        return nothing, nothing, nothing
    height, width = label_image.shape
    flat = np.ascontiguousarray(label_image).reshape(-1)
    places = _starts_of_runs(flat, width)
    ids = flat[places]
    row, column = np.divmod(places, width)
    start = column * height + row
    end = np.append(start[1:], label_image.size)
    cells = np.flatnonzero(ids)
    by_cell = cells[np.argsort(ids[cells], kind="stable")]
    return ids[by_cell], start[by_cell], end[by_cell]


def _starts_of_runs(flat: Integers, width: int) -> Integers:
    """Give the row-major index of each pixel that differs from the one before in its column.

    Before the first row stands the last one of the column before. Sorted by column, then
    row. The image is not turned: each row is compared with the next, as many pixels at a
    time as one word of 8 bytes holds, and few words differ.
    """
    itemsize = flat.dtype.itemsize
    size = next(size for size in (8, 4, 2, 1) if width * itemsize % size == 0)
    words = flat.view(f"u{size}").reshape(-1, width * itemsize // size)
    changed = np.flatnonzero(words[1:] != words[:-1])
    above, below = (words.reshape(-1)[changed + more] for more in (0, words.shape[1]))
    inside = np.flatnonzero(above.view(flat.dtype) != below.view(flat.dtype))
    word, pixel = np.divmod(inside, size // itemsize)
    lower = changed[word] * (size // itemsize) + pixel + width

    top = np.flatnonzero(np.append(True, flat[1:width] != flat[-width:-1]))
    places = np.concatenate((top, lower))
    column = places % width
    # stable: rows go on rising in each column. 16 bits are sorted by counting
    return places[
        np.argsort(column.astype(np.uint16) if width <= 1 << 16 else column, kind="stable")
    ]


def _boxes_of_runs(start: Integers, end: Integers, first: Integers, height: int) -> Integers:
    """Give the (N, 4) tightest box around the runs of each cell; `first` (N,) its first run."""
    left, right = start // height, (end - 1) // height
    one_column = left == right  # a run over a column break touches the top and the bottom row
    top = np.where(one_column, start - left * height, 0)
    bottom = np.where(one_column, end - 1 - right * height, height - 1)
    x, y = np.minimum.reduceat(left, first), np.minimum.reduceat(top, first)
    x_last, y_last = np.maximum.reduceat(right, first), np.maximum.reduceat(bottom, first)
    return np.stack([x, y, x_last - x + 1, y_last - y + 1], axis=1)


def _compress(
    start: Integers, end: Integers, first: Integers, shape_hw: tuple[int, int]
) -> list[str]:
    """Give the COCO string of each cell."""
    before = np.concatenate(([0], end[:-1]))
    before[first] = 0
    counts = np.stack([start - before, end - start], axis=1).astype(np.uint32)
    stops = np.append(first[1:], len(start)).tolist()
    size = shape_hw[0] * shape_hw[1]
    rles = []
    for begin, stop in zip(first.tolist(), stops, strict=True):
        of_cell = counts[begin:stop].ravel()
        if (rest := size - int(end[stop - 1])) > 0:
            of_cell = np.append(of_cell, np.uint32(rest))
        rles.append({"size": shape_hw, "counts": of_cell})  # arrays: lists are 30 times slower
    return [rle["counts"].decode() for rle in coco_mask.frPyObjects(rles, *shape_hw)]
