"""Cells that the border of the picture cuts."""

import numpy as np
from skimage.segmentation import clear_border, relabel_sequential

from hpa_mmdet.segment.protocol import Segmentation


def drop_border_cells(segmentation: Segmentation) -> Segmentation:
    """Drop the cells that touch the border, with their nuclei; ids run on without gaps."""
    cells, forward, _ = relabel_sequential(clear_border(segmentation.cells))
    lookup = np.zeros(int(segmentation.cells.max(initial=0)) + 1, np.int32)
    known = min(len(lookup), len(forward))
    lookup[:known] = np.asarray(forward[np.arange(known)], np.int32)
    return Segmentation(lookup[segmentation.nuclei], cells.astype(np.int32))
