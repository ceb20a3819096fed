"""A mask as runs of pixels down the columns of its image, without the image.

H, W: image height and width in pixels. The flat index of pixel (row, column) is
column * H + row, as in a COCO RLE. R: runs of a mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from hpa_mmdet.masks.border import boxes_touch_border
from hpa_mmdet.masks.rle import as_bytes, check_counts, decode_counts

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MaskRuns:
    """One mask.

    Args:
        starts: (R,) rising flat indices of the first pixel of each run.
        ends: (R,) flat indices behind the last pixel; each is below the next start.
        shape_hw: height and width of the image.
    """

    starts: Places
    ends: Places
    shape_hw: tuple[int, int]

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int((self.ends - self.starts).sum())

    @property
    def bbox_xywh(self) -> tuple[int, int, int, int]:
        """The tightest box; (0, 0, 0, 0) for a mask without pixels."""
        if not self.starts.size:
            return (0, 0, 0, 0)
        height = self.shape_hw[0]
        left, right = self.starts // height, (self.ends - 1) // height
        x, x_last = int(left[0]), int(right[-1])
        if (left == right).all():
            top = int((self.starts - left * height).min())
            bottom = int((self.ends - 1 - left * height).max())
        else:  # a run over a column break touches the last and the first row
            top, bottom = 0, height - 1
        return (x, top, x_last - x + 1, bottom - top + 1)

    @property
    def touches_border(self) -> bool:
        """Whether a pixel of the mask lies in the first or last row or column."""
        return self.starts.size > 0 and boxes_touch_border(self.bbox_xywh, self.shape_hw)

    @property
    def centroid_xy(self) -> tuple[float, float]:
        """Mean pixel position, (0, 0) being the centre of the first pixel; needs a pixel."""
        by_column = self.split_at_columns()
        height = self.shape_hw[0]
        column = by_column.starts // height
        length = by_column.ends - by_column.starts
        middle = (by_column.starts + by_column.ends - 1) / 2 - column * height
        area = length.sum()
        return (float((column * length).sum() / area), float((middle * length).sum() / area))

    def split_at_columns(self) -> "MaskRuns":
        """The same mask with no run over a column break (runs may then touch)."""
        height = self.shape_hw[0]
        left, right = self.starts // height, (self.ends - 1) // height
        if (left == right).all():
            return self
        pieces = right - left + 1
        run = np.repeat(np.arange(pieces.size), pieces)
        column = np.arange(run.size) - np.repeat(np.cumsum(pieces) - pieces, pieces) + left[run]
        starts = np.maximum(self.starts[run], column * height)
        ends = np.minimum(self.ends[run], (column + 1) * height)
        return MaskRuns(starts, ends, self.shape_hw)

    def to_counts(self) -> str:
        """The mask as a COCO compressed RLE string."""
        height, width = self.shape_hw
        edges = np.empty(2 * self.starts.size + 2, np.int64)
        edges[0], edges[-1] = 0, height * width
        edges[1:-1:2], edges[2:-1:2] = self.starts, self.ends
        counts = np.diff(edges).astype(np.uint32)
        if self.starts.size and counts[-1] == 0:
            counts = counts[:-1]
        rle = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        text: str = rle["counts"].decode("ascii")
        return text

    def crop(self, bbox_xywh: tuple[int, int, int, int] | None = None) -> NDArray[np.bool_]:
        """The pixels inside a box of the image, by default the tightest one: (h, w)."""
        x, y, width, height = self.bbox_xywh if bbox_xywh is None else bbox_xywh
        by_column = self.split_at_columns()
        column = by_column.starts // self.shape_hw[0]
        first = column * self.shape_hw[0] + y  # the box's first pixel in this column
        starts = np.clip(by_column.starts - first, 0, height)
        ends = np.clip(by_column.ends - first, 0, height)
        kept = (column >= x) & (column < x + width) & (starts < ends)
        place = (column[kept] - x) * height
        edges = np.empty(2 * place.size + 2, np.int64)
        edges[0], edges[-1] = 0, height * width
        edges[1:-1:2], edges[2:-1:2] = place + starts[kept], place + ends[kept]
        inside = np.zeros(edges.size - 1, bool)
        inside[1::2] = True
        return np.repeat(inside, np.diff(edges)).reshape(width, height).T


def runs_from_counts(
    counts: str | bytes, shape_hw: tuple[int, int], where: object = "mask"
) -> MaskRuns:
    """Read a COCO compressed RLE string; `where` is what an error names.

    Raises:
        InputError: it is no such string, or not one of an image of this size.

    Examples:
        >>> runs_from_counts("121", (2, 2)).crop().astype(int)
        array([[0, 1],
               [1, 0]])
    """
    return masks_from_counts([counts], shape_hw, where)[0]


def masks_from_counts(
    all_counts: Sequence[str | bytes], shape_hw: tuple[int, int], where: object = "mask"
) -> list[MaskRuns]:
    """Read the COCO compressed RLE strings of one image in one pass.

    Raises:
        InputError: as `runs_from_counts`.
    """
    texts = [as_bytes(counts) for counts in all_counts]
    masks = []
    for lengths in decode_counts(texts) or [np.zeros(1, np.int64)] * len(texts):
        edges = np.cumsum(lengths)
        if edges[-1] != shape_hw[0] * shape_hw[1] or edges[-1] == 0:
            check_counts(texts, shape_hw, lambda _: where)
        starts, ends = edges[:-1:2], edges[1::2]
        if not lengths[1:].all():  # runs of 0 part what is whole
            some = starts < ends
            starts, ends = merge_runs(starts[some], ends[some])
        masks.append(MaskRuns(starts, ends, shape_hw))
    return masks


def runs_of_crop(
    mask: NDArray[np.bool_], left: int, top: int, shape_hw: tuple[int, int]
) -> MaskRuns:
    """Read the runs of (h, w) pixels that lie at column `left`, row `top` of an image."""
    height, image_height = mask.shape[0], shape_hw[0]
    padded = np.zeros((mask.shape[1], height + 1), bool)  # keeps runs of columns apart
    padded[:, :-1] = mask.T
    flat = np.concatenate(([False], padded.ravel()))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    edges += (edges // (height + 1)) * (image_height - height - 1) + left * image_height + top
    starts, ends = merge_runs(edges[0::2], edges[1::2])
    return MaskRuns(starts, ends, shape_hw)


def clip_runs(runs: MaskRuns, box_xywh: tuple[int, int, int, int]) -> MaskRuns:
    """Take the part of a mask that lies in a box of its image."""
    x, y, width, height = box_xywh
    image_height = runs.shape_hw[0]
    by_column = runs.split_at_columns()
    column = by_column.starts // image_height
    starts = np.maximum(by_column.starts, column * image_height + y)
    ends = np.minimum(by_column.ends, column * image_height + y + height)
    kept = (column >= x) & (column < x + width) & (starts < ends)
    return MaskRuns(*merge_runs(starts[kept], ends[kept]), runs.shape_hw)


def merge_runs(starts: Places, ends: Places) -> tuple[Places, Places]:
    """Join runs that touch, as two full columns do over the break between them.

    Args:
        starts: (R,) rising.
        ends: (R,) rising, each above its start.
    """
    if starts.size < 2:
        return starts, ends
    apart = starts[1:] > ends[:-1]
    return starts[np.concatenate(([True], apart))], ends[np.concatenate((apart, [True]))]
