"""COCO's compressed run-length strings, decoded and checked without building a mask.

A mask of H * W pixels is read column by column; its run lengths alternate background and
mask, background first. COCO writes them as text: each run from the fourth on as the
difference to the run two before it, in groups of 5 bits, lowest first, one printable
character (48 + bits) each, with 32 as the sign that more bits follow.

pycocotools reads such a string without checking it, so a damaged one must be found here.

Source: the header and rleToString/rleFrString of pycocotools' maskApi.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_MORE, _SIGN, _BITS = 32, 16, 5
_MOST_GROUPS = 7  # more bits than the runs of any picture need
_NO_PIXELS = b"0"

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]


class MaskSizes(NamedTuple):
    """What run lengths say without a mask being built.

    Args:
        pixels: (M,) the sum of all runs of each mask, which must be its image's H * W.
        areas: (M,) the pixels of each mask.
    """

    pixels: NDArray[np.int64]
    areas: NDArray[np.int64]


class Runs(NamedTuple):
    """The runs of several masks, in rows: mask pixels, then the background behind them.

    Args:
        inside: (R,) runs of mask pixels. The first row of each mask has none: it holds the
            background before them.
        behind: (R,) runs of background.
        edges: (M + 1,) where the rows of each mask begin.
        ends_inside: (M,) whether the last run is one of mask pixels, so that its row's
            background is not in the text.
    """

    inside: NDArray[np.int64]
    behind: NDArray[np.int64]
    edges: NDArray[np.int64]
    ends_inside: NDArray[np.bool_]


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
    runs = decode_runs(texts)
    if runs is None:
        return None
    flat = np.stack((runs.inside, runs.behind), axis=1).ravel()
    last = 2 * runs.edges[1:] - runs.ends_inside
    return [
        flat[2 * start + 1 : stop]
        for start, stop in zip(runs.edges[:-1].tolist(), last.tolist(), strict=True)
    ]


def measure_counts(texts: Sequence[bytes]) -> MaskSizes | None:
    """Add up the runs of several strings in one pass; None as `decode_counts`.

    Examples:
        >>> measure_counts([b"PPPP4"])
        MaskSizes(pixels=array([4194304]), areas=array([0]))
    """
    runs = decode_runs(texts)
    return None if runs is None else measure_runs(runs)


def measure_runs(runs: Runs) -> MaskSizes:
    """Add up runs, mask by mask."""
    if len(runs.inside) == 0:
        return MaskSizes(np.zeros(0, np.int64), np.zeros(0, np.int64))
    firsts = runs.edges[:-1]
    areas = np.add.reduceat(runs.inside, firsts)
    return MaskSizes(areas + np.add.reduceat(runs.behind, firsts), areas)


def decode_runs(texts: Sequence[bytes]) -> Runs | None:
    """Decode several strings in one pass, the runs of all end to end; None as `decode_counts`."""
    if not texts:
        none = np.zeros(0, np.int64)
        return Runs(none, none, np.zeros(1, np.int64), np.zeros(0, bool))
    # a run of 0 before each text makes pairs of its runs: a mask's first is one of background
    groups = np.frombuffer(_NO_PIXELS + _NO_PIXELS.join(texts), np.uint8) - np.uint8(48)
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    if not all(texts) or groups.max() >= 2 * _MORE or np.any(groups[ends - 1] >= _MORE):
        return None
    read = _read_numbers(groups, ends)
    if read is None:
        return None
    numbers, edges = read
    odd = np.diff(edges, prepend=0) % 2 == 1
    if odd.any():
        numbers = np.insert(numbers, edges[odd], 0)
        edges = edges + np.cumsum(odd)
    return _undo_differences(numbers, np.concatenate(([0], edges // 2)), odd)


def _read_numbers(groups: Bytes, ends: Numbers) -> tuple[Numbers, Numbers] | None:
    """Put groups together: the numbers of all texts, and the place after each text's last."""
    more = groups >= _MORE
    last = ((groups & 31) ^ _SIGN).view(np.int8) - np.int8(_SIGN)  # the highest bits, signed
    lower = np.flatnonzero(more)
    if not lower.size:
        return last.astype(np.int64), ends
    numbers = last[~more].astype(np.int64)
    opens = np.flatnonzero(np.diff(lower, prepend=-2) != 1)
    count = np.diff(opens, append=len(lower))
    if count.max() >= _MOST_GROUPS:
        return None
    depth = np.arange(len(lower)) - np.repeat(opens, count)
    bits = (groups[lower] & (_MORE - 1)).astype(np.int64) << (_BITS * depth)
    number = lower[opens] - opens  # so many numbers end before it
    numbers[number] = (numbers[number] << (_BITS * count)) + np.add.reduceat(bits, opens)
    return numbers, ends - np.searchsorted(lower, ends)


def _undo_differences(
    numbers: Numbers, edges: Numbers, ends_inside: NDArray[np.bool_]
) -> Runs | None:
    """Add to each run the one two before it, but for the first of each kind in a mask."""
    firsts, rows = edges[:-1], np.diff(edges)
    before = numbers[1::2][firsts]
    numbers[1::2][firsts] = 0
    inside, behind = np.cumsum(numbers[::2]), np.cumsum(numbers[1::2])
    inside -= np.repeat(inside[firsts], rows)
    behind -= np.repeat(behind[firsts], rows)
    behind[firsts] = before
    behind[edges[1:][ends_inside] - 1] = 0
    if inside.min() < 0 or behind.min() < 0:
        return None
    return Runs(inside, behind, edges, ends_inside)
