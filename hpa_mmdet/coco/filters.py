"""Which cells and images are left out, and why: nothing goes without a row in a table."""

from collections.abc import Collection, Container, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.masks.encode import EncodedCell

BAD_OUTLINE = "a reviewer marked its outline as bad"
DROPPED_COLUMNS: tuple[str, ...] = ("ID", "cell_id", "reason", "value")


class Dropped(NamedTuple):
    """A cell, or with `cell_id` None a whole image, that is left out."""

    cell_id: int | None
    reason: str
    value: float


def filter_cells(
    cells: Sequence[EncodedCell],
    labelled: Container[int],
    options: ConvertOptions,
    bad_masks: Collection[int] = (),
) -> tuple[list[EncodedCell], list[Dropped]]:
    """Part cells into kept and dropped; the first reason found counts.

    Args:
        cells: of one image.
        labelled: ids of the cells that have a label set.
        options: the limits.
        bad_masks: ids of the cells whose outline a reviewer marked as bad.
    """
    kept, dropped = [], []
    for cell in cells:
        if cell.cell_id in bad_masks:
            dropped.append(Dropped(cell.cell_id, BAD_OUTLINE, cell.area))
        elif cell.cell_id not in labelled:
            dropped.append(Dropped(cell.cell_id, "no row in the cell labels", cell.area))
        elif cell.area < options.min_area_px:
            dropped.append(Dropped(cell.cell_id, "area below --min-area", cell.area))
        elif options.max_area_px is not None and cell.area > options.max_area_px:
            dropped.append(Dropped(cell.cell_id, "area above --max-area", cell.area))
        elif options.drop_border and cell.touches_border:
            dropped.append(Dropped(cell.cell_id, "touches the border", cell.area))
        else:
            kept.append(cell)
    return kept, dropped


def measure_focus(plane: NDArray[np.integer]) -> float:
    """Measure how much of the contrast of a (H, W) channel is fine detail.

    The variance of the Laplacian over the variance of the smoothed picture: neither gain
    nor offset change it, blur lowers it. Only values of images taken alike compare.

    Returns:
        0 for a flat picture, else above 0; sharp and blurred fields of one microscope
        differ by a factor of 2 to 10.

    Source:
        Pech-Pacheco et al., ICPR 2000 (variance of the Laplacian), divided here by the
        contrast so that bright fields do not win.
    """
    if plane.min() == plane.max():  # smoothing would leave rounding errors to divide by
        return 0.0
    smooth = cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 1.0)
    fine = cv2.Laplacian(smooth, cv2.CV_32F)
    return float(fine.var(dtype=np.float64) / smooth.var(dtype=np.float64))
