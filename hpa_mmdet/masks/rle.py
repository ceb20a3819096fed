"""COCO's compressed run-length strings, decoded and checked without building a mask.

A mask of H * W pixels is read column by column; its run lengths alternate background and
mask, background first. COCO writes them as text: each run from the fourth on as the
difference to the run two before it, in groups of 5 bits, lowest first, one printable
character (48 + bits) each, with 32 as the sign that more bits follow.

pycocotools reads such a string without checking it, and past its end where it is damaged.
So every mask of a file goes through `check_counts` before anything else sees it.

M: masks. Source: the header and rleToString/rleFrString of pycocotools' maskApi.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError

Rle = dict[str, Any]
"""A mask as pycocotools takes it: `size` [H, W] and compressed `counts` in bytes."""

MAX_CHARACTERS = 2**22
"""Longest string that is decoded: two million runs, which take some 150 MB in between."""

MOST_PIXELS_OF_RUNS = 2**31 - 1
"""Run lengths have 32 bits in pycocotools."""

_MORE, _SIGN, _BITS = 32, 16, 5
_MOST_GROUPS = 7  # more bits than the runs of any picture need
_NO_PIXELS = b"0"
_BATCH_CHARACTERS = 2**20  # decoded at once

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


class _RunTable(NamedTuple):
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


def as_bytes(counts: str | bytes) -> bytes:
    """Give counts as pycocotools takes them; what is not ASCII becomes a damaged string."""
    return counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts


def check_counts(
    texts: Sequence[bytes],
    shape_hw: tuple[int, int],
    where_of: Callable[[int], object],
) -> NDArray[np.int64]:
    """Check that masks are run-length strings of an image's size.

    Args:
        texts: M compressed strings of one image.
        shape_hw: height and width of the image.
        where_of: what an error names, called with the place of the bad mask.

    Returns:
        (M,) pixels of each mask.

    Raises:
        InputError: a string is damaged, longer than `MAX_CHARACTERS`, or its run lengths do
            not add up to H * W.
    """
    height, width = shape_hw
    sizes = measure_counts(texts)
    if sizes is None:
        place = next(place for place, text in enumerate(texts) if measure_counts([text]) is None)
        raise InputError(
            where_of(place),
            problem="the mask's run lengths are damaged",
            remedy="write the file again; masks must be COCO's compressed counts",
        )
    wrong = np.flatnonzero(sizes.pixels != height * width)
    if wrong.size:
        raise InputError(
            where_of(int(wrong[0])),
            f"a mask of {sizes.pixels[wrong[0]]} pixels",
            f"{height * width} ({width}x{height})",
            "encode masks at the full size of their image",
        )
    return sizes.areas


def decode_counts(texts: Sequence[bytes]) -> list[NDArray[np.int64]] | None:
    """Decode several strings in one pass.

    Returns:
        The run lengths of each string, or None where one of them is not such a string
        (a foreign character, a last group that asks for more, a negative run, or more than
        `MAX_CHARACTERS`).

    Examples:
        >>> decode_counts([b"PPPP4"])
        [array([4194304])]
        >>> decode_counts([b"a text"]) is None
        True
    """
    lengths: list[NDArray[np.int64]] = []
    for batch in _batches(texts):
        table = _decode_table(batch)
        if table is None:
            return None
        flat = np.stack((table.inside, table.behind), axis=1).ravel()
        last = 2 * table.edges[1:] - table.ends_inside
        lengths += [
            flat[2 * start + 1 : stop]
            for start, stop in zip(table.edges[:-1].tolist(), last.tolist(), strict=True)
        ]
    return lengths


def measure_counts(texts: Sequence[bytes]) -> MaskSizes | None:
    """Add up the runs of several strings; None as `decode_counts`.

    Examples:
        >>> measure_counts([b"PPPP4"])
        MaskSizes(pixels=array([4194304]), areas=array([0]))
    """
    parts = [MaskSizes(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for batch in _batches(texts):
        table = _decode_table(batch)
        if table is None:
            return None
        areas = np.add.reduceat(table.inside, table.edges[:-1])
        parts.append(MaskSizes(areas + np.add.reduceat(table.behind, table.edges[:-1]), areas))
    if len(parts) == 2:
        return parts[1]
    return MaskSizes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _batches(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Part the strings so that little is decoded at once, however many there are."""
    first = characters = 0
    for place, text in enumerate(texts):
        if characters and characters + len(text) > _BATCH_CHARACTERS:
            yield texts[first:place]
            first, characters = place, 0
        characters += len(text)
    if first < len(texts):
        yield texts[first:]


def _decode_table(texts: Sequence[bytes]) -> _RunTable | None:
    """Decode one or more strings, the runs of all end to end; None as `decode_counts`."""
    if max(map(len, texts)) > MAX_CHARACTERS:
        return None
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
) -> _RunTable | None:
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
    return _RunTable(inside, behind, edges, ends_inside)
