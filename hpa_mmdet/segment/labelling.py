"""From the HPA networks' probability pictures to nuclei and cells with shared ids.

h, w: size of the networks' own grid, on which an HPA nucleus is about 45 pixels wide.
A prediction has three bands, uint8: background, border between neighbours, inside.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_holes, remove_small_objects
from skimage.segmentation import watershed

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.filters import enlarge_labels, otsu_level
from hpa_mmdet.segment.outlines import drop_small, smooth_outlines
from hpa_mmdet.segment.protocol import Segmentation, keep_cells, no_cells

# probabilities and areas as the HPA segmenter's authors tuned them; theirs count in pixels of
# images four times as large on a side, ours on the networks' grid
NUCLEUS, SEED, BORDER, LEAST_CELL = 0.4, 0.15, 0.05, 0.22
SEED_AREA, NUCLEUS_AREA, CELL_AREA, HOLE_AREA = 500 / 16, 2500 / 16, 5500 / 16, 1000 / 16


class _Bands(NamedTuple):
    border: NDArray[np.float32]
    inside: NDArray[np.float32]


def label_cells(
    nuclei_prediction: NDArray[np.uint8], cell_prediction: NDArray[np.uint8], *, step: int = 1
) -> Segmentation:
    """Label the cells of an image from the two predictions.

    Nuclei are grown from their insides without borders. Cells are flooded from the nuclei
    over the cells' inside, then over the borders between them. Any number of cells.

    Args:
        nuclei_prediction: (H, W, 3) uint8.
        cell_prediction: (H, W, 3) uint8.
        step: how many times larger H, W are than the networks' grid; 4 for predictions that
            the package has enlarged, as it does by default. The work is done on the grid,
            since enlarging adds no knowledge, and outlines are enlarged smoothly.

    Returns:
        (H, W) nuclei and cells; nucleus k lies in cell k.

    Raises:
        InputError: the predictions are not (H, W, 3) uint8 of one size.
    """
    for name, bands in (("nuclei", nuclei_prediction), ("cell", cell_prediction)):
        if bands.ndim != 3 or bands.shape[2] != 3 or bands.dtype != np.uint8:
            raise InputError(
                f"{name} prediction",
                f"{bands.shape} {bands.dtype}",
                "(H, W, 3) uint8",
                "convert it",
            )
    if nuclei_prediction.shape != cell_prediction.shape:
        raise InputError(
            "predictions",
            f"{nuclei_prediction.shape} of nuclei and {cell_prediction.shape} of cells",
            "one size",
            "predict both from the same image",
        )
    height, width = cell_prediction.shape[:2]
    of_nuclei, of_cells = _bands(nuclei_prediction, step), _bands(cell_prediction, step)
    nuclei = _label_nuclei(of_nuclei, of_cells)
    if not nuclei.any():
        return no_cells((height, width))
    cells = _label_from_nuclei(nuclei, of_cells)
    nuclei = drop_small(np.where(nuclei == cells, nuclei, 0), NUCLEUS_AREA)
    nuclei, cells = keep_cells(Segmentation(nuclei, cells), np.unique(cells))
    size = (height, width)
    return Segmentation(enlarge_labels(nuclei, size), enlarge_labels(cells, size))


def _bands(prediction: NDArray[np.uint8], step: int) -> _Bands:
    if step > 1:
        size_wh = tuple(max(1, round(side / step)) for side in prediction.shape[1::-1])
        prediction = np.asarray(
            cv2.resize(prediction, size_wh, interpolation=cv2.INTER_AREA), np.uint8
        )
    share = prediction.astype(np.float32) / np.float32(255)
    return _Bands(share[..., 1], share[..., 2])


def _label_nuclei(of_nuclei: _Bands, of_cells: _Bands) -> NDArray[np.int32]:
    clear = of_nuclei.border + of_cells.border <= BORDER
    seeds = remove_small_objects((of_nuclei.inside > SEED) & clear, max_size=int(SEED_AREA))
    markers, _ = ndimage.label(seeds)
    mask = remove_small_holes(of_nuclei.inside > NUCLEUS, max_size=int(HOLE_AREA))
    nuclei = watershed(-of_nuclei.inside, markers, mask=mask).astype(np.int32)
    return drop_small(nuclei, NUCLEUS_AREA)


def _label_from_nuclei(nuclei: NDArray[np.int32], of_cells: _Bands) -> NDArray[np.int32]:
    otsu = otsu_level(of_cells.inside)
    level = max(LEAST_CELL, float(of_cells.inside.min()) if otsu is None else 0.5 * otsu)
    at_border = of_cells.border > BORDER
    depth = -np.maximum(of_cells.inside, level)
    cells = watershed(depth, nuclei, mask=(of_cells.inside > level) & ~at_border)
    cells = drop_small(cells.astype(np.int32), CELL_AREA)
    cells = watershed(depth, cells, mask=(cells > 0) | at_border).astype(np.int32)
    return drop_small(smooth_outlines(cells, 3), CELL_AREA)
