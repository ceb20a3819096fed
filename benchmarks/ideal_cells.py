"""What perfect networks would predict for known cells: for tests, benchmarks and trials."""

import cv2
import numpy as np
from numpy.typing import NDArray


def ideal_prediction(label_image: NDArray[np.integer], border_px: int) -> NDArray[np.uint8]:
    """Draw the three bands that a network of the HPA segmenter would give for these cells.

    Args:
        label_image: (H, W); nuclei or cells.
        border_px: width of the border band between touching neighbours, odd.

    Returns:
        (H, W, 3) uint8: 0 (as the package leaves the background), border between
        neighbours, inside; blurred by a third of `border_px`.
    """
    labels = label_image.astype(np.float32)
    none = float(labels.max(initial=0)) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (border_px, border_px))
    highest = cv2.dilate(labels, brush)
    lowest = cv2.erode(np.where(labels > 0, labels, none).astype(np.float32), brush)
    border = (labels > 0) & (lowest < highest)  # two cells within reach
    bands = np.zeros((*labels.shape, 3), np.float32)
    bands[..., 1], bands[..., 2] = border, (labels > 0) & ~border
    blurred = cv2.GaussianBlur(bands, (0, 0), border_px / 3)
    return np.asarray(np.round(blurred * 255), np.uint8)


def crowd(
    count: int, shape_hw: tuple[int, int], seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Draw round cells with nuclei, most of them touching, on a jittered grid.

    Returns:
        Nuclei and cells, (H, W) each, ids 1 to `count` shared.
    """
    rng = np.random.default_rng(seed)
    height, width = shape_hw
    columns = max(1, round(np.sqrt(count * width / height)))
    rows = -(-count // columns)
    radius = 0.55 * min(height / rows, width / columns)
    nearest = np.full(shape_hw, radius, np.float32)
    cells, nuclei = np.zeros(shape_hw, np.int32), np.zeros(shape_hw, np.int32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for cell_id in range(1, count + 1):
        row, column = divmod(cell_id - 1, columns)
        centre_y = (row + 0.5 + rng.uniform(-0.2, 0.2)) * height / rows
        centre_x = (column + 0.5 + rng.uniform(-0.2, 0.2)) * width / columns
        away = np.hypot((y - centre_y) * rng.uniform(0.85, 1.15), x - centre_x)
        own = away < nearest
        cells[own], nearest[own] = cell_id, away[own]
        nuclei[away < 0.4 * radius] = cell_id
    return np.where(nuclei == cells, nuclei, 0).astype(np.int32), cells
