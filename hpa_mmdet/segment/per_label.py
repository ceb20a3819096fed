"""Medians of each label's pixels, in one sort over the labelled pixels alone."""

import numpy as np
from numpy.typing import NDArray


def median_per_label(
    values: NDArray[np.float32], label_image: NDArray[np.int32], ids: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Give the median of each label's pixels, the upper of two; 0 for one without pixels.

    Args:
        values: (H, W).
        label_image: (H, W), ids >= 0; 0 is left out.
        ids: rising.

    Examples:
        >>> values = np.array([[1, 2, 9, 4]], np.float32)
        >>> median_per_label(values, np.array([[0, 3, 3, 3]], np.int32), np.array([2, 3]))
        array([0., 4.])
    """
    labelled = label_image > 0
    # numbers that sort by label, then by value: much faster than sorting by two keys
    keys = label_image[labelled].astype(np.uint64) << np.uint64(32)
    keys |= _rising_bits(values[labelled])
    keys.sort()
    bounds = np.maximum(np.asarray(ids), 0).astype(np.uint64)
    start = np.searchsorted(keys, bounds << np.uint64(32))
    end = np.searchsorted(keys, (bounds + np.uint64(1)) << np.uint64(32))
    medians = np.zeros(len(bounds))
    some = end > start
    medians[some] = _values_of((keys[(start + end)[some] // 2]).astype(np.uint32))
    return medians


def _rising_bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Give whole numbers that sort as the values do: their bits, of negative ones turned."""
    bits = values.view(np.uint32)
    return bits ^ np.where(bits >> 31 != 0, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))


def _values_of(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Undo `_rising_bits`."""
    turned = bits ^ np.where(bits >> 31 == 0, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    return turned.view(np.float32)
