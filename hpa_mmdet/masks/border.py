"""Which cells the border of their image cuts.

N: cells; H, W: image height and width in pixels. Boxes are [x, y, width, height].
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def boxes_touch_border(boxes_xywh: ArrayLike, shape_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Say whether boxes reach the first or last row or column of their image, or leave it.

    Args:
        boxes_xywh: (4,) or (N, 4).
        shape_hw: height and width of the image.

    Returns:
        () or (N,).

    Examples:
        >>> boxes_touch_border([[0, 1, 2, 2], [1, 1, 2, 2], [4, 1, 2, 2]], (5, 6))
        array([ True, False,  True])
    """
    boxes = np.asarray(boxes_xywh)
    ends = boxes[..., :2] + boxes[..., 2:]
    return np.asarray(np.any((boxes[..., :2] <= 0) | (ends >= shape_hw[::-1]), axis=-1))


def ids_at_border(label_image: NDArray[np.integer]) -> NDArray[np.integer]:
    """List the ids of the cells that have a pixel in the first or last row or column.

    Args:
        label_image: (H, W), at least one pixel; 0 is background.

    Returns:
        Rising ids, without 0.

    Examples:
        >>> ids_at_border(np.array([[0, 0, 7], [3, 5, 0], [0, 0, 0]]))
        array([3, 7])
    """
    rows, columns = label_image[[0, -1]], label_image[:, [0, -1]]
    ids: NDArray[np.integer] = np.unique(np.concatenate((rows.ravel(), columns.ravel())))
    return ids[ids > 0]
