"""Order statistics of each label's pixels, in one sort over the labelled pixels alone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Spread(NamedTuple):
    """For each id asked for: the median and the largest of its pixels' values.

    An id without pixels has 0 for both.
    """

    median: NDArray[np.float64]
    largest: NDArray[np.float64]


def spread_per_label(
    values: NDArray[np.float32], label_image: NDArray[np.int32], ids: NDArray[np.integer]
) -> Spread:
    """Measure each label.

    Args:
        values: (H, W).
        label_image: (H, W); 0 is left out.
        ids: rising.

    Examples:
        >>> values = np.array([[1, 2, 9, 4]], np.float32)
        >>> spread_per_label(values, np.array([[0, 3, 3, 3]], np.int32), np.array([2, 3]))
        Spread(median=array([0., 4.]), largest=array([0., 9.]))
    """
    at = np.flatnonzero(label_image)
    of_pixel = label_image.ravel()[at]
    of_value = values.ravel()[at]
    order = np.lexsort((of_value, of_pixel))
    of_pixel, of_value = of_pixel[order], of_value[order]
    start = np.searchsorted(of_pixel, ids, side="left")
    end = np.searchsorted(of_pixel, ids, side="right")
    median, largest = np.zeros(len(ids)), np.zeros(len(ids))
    some = end > start
    first, last = start[some], end[some] - 1
    median[some] = of_value[(first + last + 1) // 2]
    largest[some] = of_value[last]
    return Spread(median, largest)
