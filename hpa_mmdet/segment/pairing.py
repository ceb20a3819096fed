"""Give nuclei and cells that were found apart the same ids."""

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import clear_border

from hpa_mmdet.masks.label_image import number_cells
from hpa_mmdet.segment.compare import overlaps
from hpa_mmdet.segment.protocol import Segmentation, keep_cells


def pair_by_overlap(nuclei: NDArray[np.integer], cells: NDArray[np.integer]) -> Segmentation:
    """Give each nucleus the id of the cell that holds most of it.

    Nuclei that lie mostly outside all cells are dropped, and nuclei are cut to their cell.
    A cell may hold two nuclei, which then share its id, or none.

    Args:
        nuclei: (H, W) label image.
        cells: (H, W) label image; its ids are renumbered from 1 without gaps.

    Examples:
        >>> nuclei, cells = np.array([[0, 9, 0, 4]]), np.array([[5, 5, 0, 7]])
        >>> pair_by_overlap(nuclei, cells).nuclei.tolist()
        [[0, 1, 0, 2]]
    """
    found = overlaps(cells, nuclei)
    new_cells, _ = number_cells(cells)
    cell_of = np.zeros(len(found.predicted_ids) + 1, np.int32)
    for row, column, shared in zip(found.row, found.column, found.shared, strict=True):
        if 2 * shared > found.predicted_area[column]:
            cell_of[column + 1] = row + 1
    place = np.searchsorted(found.predicted_ids, nuclei) + 1
    place[nuclei == 0] = 0
    new_nuclei = cell_of[place]
    return Segmentation(np.where(new_nuclei == new_cells, new_nuclei, 0), new_cells)


def drop_border_cells(segmentation: Segmentation) -> Segmentation:
    """Drop the cells that touch the border, with their nuclei; ids run on without gaps."""
    return keep_cells(segmentation, np.unique(clear_border(segmentation.cells)))
