"""Which cells the border of their image cuts.

N: cells; H, W: image height and width in pixels. Boxes are [x, y, width, height].
"""

from typing import overload

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]


@overload
def boxes_touch_border(boxes_xywh: Box, shape_hw: tuple[int, int]) -> bool: ...


@overload
def boxes_touch_border(
    boxes_xywh: NDArray[np.integer], shape_hw: tuple[int, int]
) -> NDArray[np.bool_]: ...


def boxes_touch_border(
    boxes_xywh: Box | NDArray[np.integer], shape_hw: tuple[int, int]
) -> bool | NDArray[np.bool_]:
    """Say whether boxes reach the first or last row or column of their image, or leave it.

    Args:
        boxes_xywh: one box, or (N, 4).
        shape_hw: height and width of the image.

    Returns:
        One answer, or (N,).

    Examples:
        >>> boxes_touch_border(np.array([[0, 1, 2, 2], [1, 1, 2, 2], [4, 1, 2, 2]]), (5, 6))
        array([ True, False,  True])
        >>> boxes_touch_border((1, 1, 2, 2), (5, 6))
        False
    """
    x, y, width, height = boxes_xywh if isinstance(boxes_xywh, tuple) else boxes_xywh.T
    at_start = (x <= 0) | (y <= 0)
    return at_start | (x + width >= shape_hw[1]) | (y + height >= shape_hw[0])


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
