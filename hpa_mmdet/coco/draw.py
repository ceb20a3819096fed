"""Compressed masks back to pixels: all cells of an image in one label image.

H, W: image height and width in pixels. Masks are column-major run lengths; a run is
half-open, [start, end), in the flattened image.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError

Runs = tuple[NDArray[np.int64], NDArray[np.int64]]


def decode_counts(counts: str | bytes) -> NDArray[np.int64]:
    """Decode COCO's compressed string to run lengths, background first.

    Raises:
        InputError: the text is cut off or holds a character outside the code.

    Source:
        rleFrString in common/maskApi.c of pycocotools: 5 bits a character, lowest first,
        bit 6 set where more follow; from the third run on, differences to the run two before.

    Examples:
        >>> decode_counts("2111")
        array([2, 1, 1, 2])
    """
    text = counts.encode() if isinstance(counts, str) else counts
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not codes.size:
        return codes
    last = (codes & 32) == 0
    if codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise InputError("mask", f"counts {text[:20]!r}...", "COCO RLE", "write the mask again")
    ends = np.flatnonzero(last)
    first = np.concatenate(([0], ends[:-1] + 1))
    place = np.arange(codes.size) - np.repeat(first, ends - first + 1)
    values = np.add.reduceat((codes & 31) << (5 * place), first)
    negative = (codes[ends] & 16) > 0
    values[negative] -= np.int64(1) << (5 * (place[ends[negative]] + 1))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def decode_runs(counts: str | bytes, shape_hw: tuple[int, int], where: object = "mask") -> Runs:
    """Decode one mask to the starts and ends of its foreground runs, column-major.

    Raises:
        InputError: the run lengths do not add up to H * W.
    """
    lengths = decode_counts(counts)
    bounds = np.cumsum(lengths)
    total = int(bounds[-1]) if bounds.size else 0
    if total != shape_hw[0] * shape_hw[1] or lengths.min(initial=0) < 0:
        raise InputError(
            where,
            f"a mask of {total} pixels",
            f"{shape_hw[1]}x{shape_hw[0]}",
            "check segmentation.size, or convert the label image again",
        )
    return bounds[0:-1:2], bounds[1::2]


def label_image_from_rles(
    all_counts: Sequence[str | bytes],
    shape_hw: tuple[int, int],
    cell_ids: Sequence[int] | None = None,
    where: object = "mask",
) -> NDArray[np.int32]:
    """Draw the cells of an image into one label image.

    Args:
        all_counts: compressed counts of N full-size masks.
        shape_hw: size of the image.
        cell_ids: value for each mask; None for 1 to N.
        where: what an error names.

    Returns:
        (H, W) int32, 0 where no cell is; where masks overlap, the later one shows.

    Raises:
        InputError: a mask is not of this size.

    Examples:
        >>> label_image_from_rles(["2111"], (2, 3), [7])
        array([[0, 7, 7],
               [0, 0, 7]], dtype=int32)
    """
    height, width = shape_hw
    values = range(1, len(all_counts) + 1) if cell_ids is None else cell_ids
    columns = np.zeros((width, height), np.int32)
    flat = columns.ravel()
    for value, counts in zip(values, all_counts, strict=True):
        starts, ends = decode_runs(counts, shape_hw, where)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            flat[start:end] = value
    return np.asarray(cv2.transpose(columns)) if columns.size else columns.T


def mask_in_box(
    counts: str | bytes, shape_hw: tuple[int, int], bbox_xywh: Sequence[int], where: object = "mask"
) -> NDArray[np.bool_]:
    """Draw one mask inside its box only.

    Args:
        counts: compressed counts of the full-size mask.
        shape_hw: size of the image.
        bbox_xywh: the part wanted, in whole pixels inside the image.
        where: what an error names.

    Returns:
        (height, width) of the box; what lies outside the box is cut off.

    Raises:
        InputError: the mask is not of this size.

    Examples:
        >>> mask_in_box("2111", (2, 3), (1, 0, 2, 2))
        array([[ True,  True],
               [False,  True]])
    """
    starts, ends = decode_runs(counts, shape_hw, where)
    x, y, width, height = bbox_xywh
    columns = np.zeros((width, shape_hw[0]), bool)
    flat = columns.ravel()
    offset = x * shape_hw[0]
    for start, end in zip((starts - offset).tolist(), (ends - offset).tolist(), strict=True):
        flat[max(start, 0) : max(end, 0)] = True
    return np.ascontiguousarray(columns[:, y : y + height].T)
