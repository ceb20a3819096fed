"""Label images: drawn from masks, and renumbered.

H, W: image height and width in pixels; N: cells.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.masks.runs import masks_from_counts


def label_image_from_rles(
    all_counts: Sequence[str | bytes],
    shape_hw: tuple[int, int],
    cell_ids: Sequence[int] | None = None,
    where: object = "mask",
) -> NDArray[np.signedinteger]:
    """Draw the cells of an image into one label image.

    Args:
        all_counts: compressed counts of N full-size masks.
        shape_hw: size of the image.
        cell_ids: value for each mask; None for 1 to N.
        where: what an error names.

    Returns:
        (H, W) int32, or int64 where a value needs it; 0 where no cell is; where masks overlap, the later one shows.

    Raises:
        InputError: a mask is damaged or not of this size.

    Examples:
        >>> label_image_from_rles(["2111"], (2, 3), [7])
        array([[0, 7, 7],
               [0, 0, 7]], dtype=int32)
    """
    height, width = shape_hw
    values = range(1, len(all_counts) + 1) if cell_ids is None else cell_ids
    is_wide = max(values, default=0) > np.iinfo(np.int32).max
    columns = np.zeros((width, height), np.int64 if is_wide else np.int32)
    flat = columns.ravel()
    masks = masks_from_counts(all_counts, shape_hw, where)
    for value, mask in zip(values, masks, strict=True):
        for start, end in zip(mask.starts.tolist(), mask.ends.tolist(), strict=True):
            flat[start:end] = value
    if is_wide or not columns.size:  # OpenCV turns up to 32 bits, and no empty pictures
        return np.ascontiguousarray(columns.T)
    return np.asarray(cv2.transpose(columns))


def number_cells(
    label_image: NDArray[np.integer],
) -> tuple[NDArray[np.int32], NDArray[np.integer]]:
    """Number the cells of a label image from 1 without gaps, in the order of their ids.

    Returns:
        The (H, W) image with the new numbers, and the (N,) ids that they stand for.

    Examples:
        >>> number_cells(np.array([[0, 9, 4]]))
        (array([[0, 2, 1]], dtype=int32), array([4, 9]))
    """
    if not label_image.size:
        return label_image.astype(np.int32), np.empty(0, label_image.dtype)
    if int(label_image.max()) <= label_image.size:  # counting is faster than sorting
        is_there = np.bincount(label_image.ravel().astype(np.int64)) > 0
        is_there[0] = False
        numbers = np.cumsum(is_there, dtype=np.int32)
        return numbers[label_image], np.flatnonzero(is_there).astype(label_image.dtype)
    from skimage.segmentation import relabel_sequential  # takes longer to load than all else here

    numbered, forward, _ = relabel_sequential(label_image)
    return numbered.astype(np.int32), forward.in_values[forward.out_values > 0]


def shrink_labels(label_image: NDArray[np.int32], shape_hw: tuple[int, ...]) -> NDArray[np.int32]:
    """Shrink a label image; no cell is lost.

    Args:
        label_image: (H, W), ids below 2^24.
        shape_hw: the new height and width.

    Returns:
        The label of the nearest pixel; a cell that has none there gets one pixel at its middle.
    """
    if label_image.shape == shape_hw:
        return label_image
    height, width = shape_hw
    plane = label_image.astype(np.float32)  # OpenCV resizes no 32-bit integers
    nearest = cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST)
    small = nearest.astype(np.int32)
    before, after = (np.bincount(image.ravel(), minlength=1) > 0 for image in (label_image, small))
    for cell in np.flatnonzero(before > np.pad(after, (0, len(before) - len(after)))):
        rows, columns = np.nonzero(label_image == cell)
        y = int(np.median(rows) * height / label_image.shape[0])
        x = int(np.median(columns) * width / label_image.shape[1])
        small[y, x] = cell
    return small
