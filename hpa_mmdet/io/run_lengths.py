"""COCO's compressed run-length strings, decoded and checked without building a mask.

A mask of H * W pixels is read column by column; its run lengths alternate background and
mask, background first. COCO writes them as text: each run from the fourth on as the
difference to the run two before it, in groups of 5 bits, lowest first, one printable
character (48 + bits) each, with 32 as the sign that more bits follow.

pycocotools reads such a string without checking it, so a damaged one must be found here.

Source: the header and rleToString/rleFrString of pycocotools' maskApi.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MORE, _SIGN, _BITS = 32, 16, 5
_MOST_GROUPS = 7  # more bits than the runs of any picture need


class MaskSizes(NamedTuple):
    """What run lengths say without a mask being built.

    Args:
        pixels: (M,) the sum of all runs of each mask, which must be its image's H * W.
        areas: (M,) the pixels of each mask.
    """

    pixels: NDArray[np.int64]
    areas: NDArray[np.int64]


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
    decoded = _decode(texts)
    if decoded is None:
        return None
    runs, edges = decoded
    return [runs[start:stop] for start, stop in pairwise(edges.tolist())]


def measure_counts(texts: Sequence[bytes]) -> MaskSizes | None:
    """Add up the runs of several strings in one pass; None as `decode_counts`.

    Examples:
        >>> measure_counts([b"PPPP4"])
        MaskSizes(pixels=array([4194304]), areas=array([0]))
    """
    decoded = _decode(texts)
    if decoded is None:
        return None
    runs, edges = decoded
    before = np.concatenate(([0], np.cumsum(runs)))
    inside = runs * _places(edges)[1]
    before_inside = np.concatenate(([0], np.cumsum(inside)))
    return MaskSizes(np.diff(before[edges]), np.diff(before_inside[edges]))


def _decode(texts: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.intp]] | None:
    """Give the runs of all strings, end to end, and the M + 1 places where each begins."""
    if not texts:
        return np.empty(0, np.int64), np.zeros(1, np.intp)
    groups = np.frombuffer(b"".join(texts), np.uint8) - np.uint8(48)
    ends = np.cumsum([len(text) for text in texts])
    if not all(texts) or groups.max() >= 2 * _MORE or np.any(groups[ends - 1] >= _MORE):
        return None
    last = np.flatnonzero(groups < _MORE)  # the group that closes each number
    lengths = np.diff(last, prepend=-1)
    if lengths.max() > _MOST_GROUPS:
        return None
    numbers = (groups[last].astype(np.int64) ^ _SIGN) - _SIGN  # the highest bits, signed
    for back in range(1, int(lengths.max())):
        longer = np.flatnonzero(lengths > back)
        lower = groups[last[longer] - back] & (_MORE - 1)
        numbers[longer] = (numbers[longer] << _BITS) + lower
    edges = np.concatenate(([0], np.searchsorted(last, ends)))
    runs = _undo_differences(numbers, edges)
    return None if runs.min() < 0 else (runs, edges)


def _undo_differences(numbers: NDArray[np.int64], edges: NDArray[np.intp]) -> NDArray[np.int64]:
    """Add to each run the one two before it, from the fourth run of each mask on."""
    place, odd = _places(edges)
    runs = numbers.copy()
    for chain in (odd, ~odd & (place > 0)):
        at = np.flatnonzero(chain)
        if at.size:
            sums = np.cumsum(numbers[at])
            first = np.searchsorted(at, edges[:-1])  # of each mask, in the chain
            before = np.concatenate(([0], sums))[first]
            members = np.diff(np.append(first, at.size))
            runs[at] = sums - np.repeat(before, members)
    return runs


def _places(edges: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Give each run's place in its mask, and whether it is mask rather than background."""
    place = np.arange(edges[-1]) - np.repeat(edges[:-1], np.diff(edges))
    return place, (place & 1).astype(bool)
