"""Cut touching blobs where their common outline has a neck."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from hpa_mmdet.segment.filters import Plane, blur, distance_to_outside

WIDEST_NECK = 0.8  # of the narrower side's width; a wider contact is no neck
SMALLEST_PIECE = 0.15  # area of a piece, in units of the typical area

Contacts = dict[tuple[int, int], float]


def split_by_shape(mask: NDArray[np.bool_], diameter: float) -> NDArray[np.int32]:
    """Label the blobs of one connected part.

    The part is cut between all maxima of its distance transform, then pieces are joined
    again, widest contact first, until only necks are left.

    Args:
        mask: (H, W), one connected part.
        diameter: of a typical blob, in pixels.

    Returns:
        (H, W) label image of at least one piece; ids rise but may have gaps.
    """
    inside = distance_to_outside(mask)
    smooth = blur(inside, max(1.0, diameter / 30))
    peaks = peak_local_max(
        smooth,
        min_distance=max(2, int(diameter / 8)),
        labels=mask.astype(np.uint8),
        exclude_border=False,
    )
    if len(peaks) < 2:
        return mask.astype(np.int32)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    pieces = watershed(-smooth, seeds, mask=mask).astype(np.int32)
    radius = {at + 1: float(inside[tuple(peak)]) for at, peak in enumerate(peaks)}
    return _join(pieces, inside, radius, SMALLEST_PIECE * np.pi * diameter**2 / 4)


def solidity(mask: NDArray[np.bool_]) -> float:
    """Give the area over the area of the convex hull, 0 to 1."""
    points = cv2.findNonZero(mask.astype(np.uint8))
    hull = cv2.convexHull(points)
    return min(1.0, len(points) / (cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1))


def _join(
    pieces: NDArray[np.int32], inside: Plane, radius: dict[int, float], least_area: float
) -> NDArray[np.int32]:
    contacts = _contacts(pieces, inside)
    area = dict(enumerate(np.bincount(pieces.ravel()).tolist()))
    while contacts:
        neck = {
            pair: width / max(1e-6, _narrower(radius, pair)) for pair, width in contacts.items()
        }
        no_cut = [
            pair
            for pair in sorted(neck)
            if neck[pair] >= WIDEST_NECK or min(area[pair[0]], area[pair[1]]) < least_area
        ]
        if not no_cut:
            break
        kept, gone = max(no_cut, key=neck.__getitem__)
        pieces[pieces == gone] = kept
        area[kept] += area.pop(gone)
        radius[kept] = max(radius[kept], radius.pop(gone))
        contacts = _rename(contacts, gone, kept)
    return pieces


def _narrower(radius: dict[int, float], pair: tuple[int, int]) -> float:
    return min(radius[pair[0]], radius[pair[1]])


def _contacts(pieces: NDArray[np.int32], inside: Plane) -> Contacts:
    """Half the width of each contact: the largest distance to the outline along it."""
    found: Contacts = {}
    for one, other, depth in (
        (pieces[1:], pieces[:-1], inside[1:]),
        (pieces[:, 1:], pieces[:, :-1], inside[:, 1:]),
    ):
        meet = (one != other) & (one > 0) & (other > 0)
        low, high = np.minimum(one[meet], other[meet]), np.maximum(one[meet], other[meet])
        triples = zip(low.tolist(), high.tolist(), depth[meet].tolist(), strict=True)
        for first, second, width in triples:
            pair = (first, second)
            found[pair] = max(found.get(pair, 0.0), width)
    return found


def _rename(contacts: Contacts, gone: int, kept: int) -> Contacts:
    renamed: Contacts = {}
    for pair, width in contacts.items():
        first, second = (kept if piece == gone else piece for piece in pair)
        if first != second:
            new = (min(first, second), max(first, second))
            renamed[new] = max(renamed.get(new, 0.0), width)
    return renamed
