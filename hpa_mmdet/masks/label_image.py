"""Compressed masks back to pixels: all cells of an image in one label image.

H, W: image height and width in pixels. Masks are column-major run lengths; a run is
half-open, [start, end), in the flattened image.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.rle import decode_counts

Runs = tuple[NDArray[np.int64], NDArray[np.int64]]


def decode_runs(
    all_counts: Sequence[str | bytes], shape_hw: tuple[int, int], where: object = "mask"
) -> list[Runs]:
    """Decode masks to the starts and ends of their foreground runs, column-major.

    Raises:
        InputError: a text is not COCO RLE, or its run lengths do not add up to H * W.
    """
    texts = [each.encode() if isinstance(each, str) else each for each in all_counts]
    decoded = decode_counts(texts)
    if decoded is None:
        raise InputError(where, "a broken mask", "COCO's compressed counts", "convert again")
    all_runs = []
    for lengths in decoded:
        bounds = np.cumsum(lengths)
        if bounds[-1] != shape_hw[0] * shape_hw[1]:
            raise InputError(
                where,
                f"a mask of {bounds[-1]} pixels",
                f"{shape_hw[1]}x{shape_hw[0]}",
                "check segmentation.size, or convert the label image again",
            )
        all_runs.append((bounds[0:-1:2], bounds[1::2]))
    return all_runs


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
    all_runs = decode_runs(all_counts, shape_hw, where)
    for value, (starts, ends) in zip(values, all_runs, strict=True):
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            flat[start:end] = value
    return np.asarray(cv2.transpose(columns)) if columns.size else columns.T
