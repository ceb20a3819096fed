"""Which cells a store leaves out, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpa_mmdet.coco.filters import Dropped
from hpa_mmdet.crops.masks import CellMask
from hpa_mmdet.errors import InputError


@dataclass(frozen=True)
class CropLimits:
    """Limits that cells must keep to; sizes are those of the cleaned mask's box.

    Args:
        min_side_px: least height and least width, in pixels of the image.
        max_side_px: largest height and width; None for any.
        min_area_px: least area of the mask.
        drop_border: leave out cells that the image's border cuts.
        drop_clipped: leave out cells that are larger than the window of `fixed` framing.

    Raises:
        InputError: a limit is negative, or the largest side is below the least.
    """

    min_side_px: int = 1
    max_side_px: int | None = None
    min_area_px: int = 1
    drop_border: bool = False
    drop_clipped: bool = False

    def __post_init__(self) -> None:
        for option, value in (("--min-side", self.min_side_px), ("--min-area", self.min_area_px)):
            if value < 1:
                raise InputError(option, value, "1 or more", "correct it")
        if self.max_side_px is not None and self.max_side_px < self.min_side_px:
            raise InputError(
                "--max-side", self.max_side_px, f"at least {self.min_side_px}", "swap the two"
            )

    def reason_to_drop(self, cell: CellMask, window_px: int | None) -> Dropped | None:
        """Say why a cell is left out; None for one that is kept.

        Args:
            cell: with a cleaned mask.
            window_px: side of a crop's window where it is fixed.
        """
        width, height = cell.bbox_xywh[2:]
        if not cell.mask.size:
            return Dropped(cell.cell_id, "no pixel in the region", 0)
        if min(width, height) < self.min_side_px:
            return Dropped(cell.cell_id, "a side below --min-side", min(width, height))
        if self.max_side_px is not None and max(width, height) > self.max_side_px:
            return Dropped(cell.cell_id, "a side above --max-side", max(width, height))
        area = int(np.count_nonzero(cell.mask))
        if area < self.min_area_px:
            return Dropped(cell.cell_id, "area below --min-area", area)
        if self.drop_border and cell.touches_border:
            return Dropped(cell.cell_id, "touches the border", area)
        if self.drop_clipped and window_px is not None and max(width, height) > window_px:
            return Dropped(cell.cell_id, "larger than the crop's window", max(width, height))
        return None


def part_cells(
    cells: Sequence[CellMask], limits: CropLimits, window_px: int | None
) -> tuple[list[CellMask], list[Dropped]]:
    """Part cells into kept and dropped."""
    kept: list[CellMask] = []
    dropped: list[Dropped] = []
    for cell in cells:
        reason = limits.reason_to_drop(cell, window_px)
        if reason is None:
            kept.append(cell)
        else:
            dropped.append(reason)
    return kept, dropped
