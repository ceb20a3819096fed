"""COCO's compressed run-length strings, decoded and checked without building a mask.

A mask of H * W pixels is read column by column; its run lengths alternate background and
mask, background first. COCO writes them as text: each run from the fourth on as the
difference to the run two before it, in groups of 5 bits, lowest first, one printable
character (48 + bits) each, with 32 as the sign that more bits follow.

pycocotools reads such a string without checking it, so a damaged one must be found here.

Source: the header and rleToString/rleFrString of pycocotools' maskApi.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MORE, _SIGN, _BITS = 32, 16, 5


def decode_counts(texts: Sequence[bytes]) -> list[NDArray[np.int64]] | None:
    """Decode several strings in one pass.

    Returns:
        The run lengths of each string, or None where one of them is not such a string
        (a foreign character, a last group that asks for more, or a negative run).

    Examples:
        >>> decode_counts([b"PPPP4"])
        [array([4194304])]
        >>> decode_counts([b"a text"]) is None
        True
    """
    if not texts:
        return []
    groups = np.frombuffer(b"".join(texts), np.uint8).astype(np.int64) - 48
    ends = np.cumsum([len(text) for text in texts])
    if not all(texts) or groups.min() < 0 or groups.max() >= 2 * _MORE:
        return None
    last = np.flatnonzero(groups < _MORE)  # the group that closes each number
    if last.size == 0 or np.any(groups[ends - 1] >= _MORE):
        return None
    first = np.concatenate(([0], last[:-1] + 1))
    if (last - first).max() > 6:  # more bits than the runs of any picture need
        return None
    place = np.arange(groups.size) - np.repeat(first, last - first + 1)
    parts = (groups & (_MORE - 1)) << (_BITS * place)
    numbers = np.add.reduceat(parts, first)
    negative = (groups[last] & _SIGN) != 0
    numbers[negative] -= 1 << (_BITS * (last - first + 1)[negative])

    decoded = []
    start = 0
    for stop in np.searchsorted(last, ends):  # numbers that end before each string's end
        runs = numbers[start:stop].copy()
        runs[1::2] = np.cumsum(runs[1::2])
        runs[2::2] = np.cumsum(runs[2::2])
        if runs.min() < 0:
            return None
        decoded.append(runs)
        start = stop
    return decoded
