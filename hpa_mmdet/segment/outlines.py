"""Tidy the outlines of a label image."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def smooth_outlines(label_image: NDArray[np.int32], brush_px: int = 5) -> NDArray[np.int32]:
    """Keep the largest piece of each cell, without thin spurs and holes.

    Args:
        label_image: (H, W) int32.
        brush_px: spurs narrower than this go; 1 keeps them.
    """
    smooth = np.zeros_like(label_image)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (brush_px, brush_px))
    margin = brush_px
    # the border is repeated, so that the opening does not round cells off there
    padded = np.pad(label_image, margin, mode="edge")
    for at, box in enumerate(ndimage.find_objects(label_image), start=1):
        if box is None:
            continue
        wider = tuple(slice(side.start, side.stop + 2 * margin) for side in box)
        mask = cv2.morphologyEx((padded[wider] == at).astype(np.uint8), cv2.MORPH_OPEN, brush)
        found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if not found:
            continue
        filled = np.zeros_like(mask)
        cv2.drawContours(filled, [max(found, key=cv2.contourArea)], -1, 1, cv2.FILLED)
        own = filled[margin:-margin, margin:-margin] > 0
        there = label_image[box]
        # a hole that holds another cell stays
        smooth[box][own & ((there == at) | (there == 0))] = at
    return smooth


def drop_small(label_image: NDArray[np.int32], least_area: float) -> NDArray[np.int32]:
    """Drop cells of fewer than `least_area` pixels; the other ids stay."""
    area = np.bincount(label_image.ravel())
    return np.where(area[label_image] >= least_area, label_image, 0).astype(np.int32)
