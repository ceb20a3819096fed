"""Segmentations of any COCO tool as compressed run lengths: strings, run lengths, polygons.

pycocotools reads past the end of damaged run lengths, and crashes or never returns on
polygons far outside the image or with NaN; so all is checked before it is handed over.

H, W: image height and width in pixels.
"""

import math
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from hpa_mmdet.errors import InputError

_MOST_OUTLINE_POINTS = 50_000_000  # that pycocotools makes of one polygon, 5 for each pixel
_AS_RLE = "give COCO's compressed counts, a list of run lengths, or polygons"


def compress_segmentation(segmentation: object, shape_hw: tuple[int, int], where: object) -> bytes:
    """Give a COCO segmentation as compressed counts of the whole image.

    A compressed string is handed on as it is: `check_counts` checks all those of an image
    in one pass. Several polygons are the parts of one cell.

    Args:
        segmentation: of one annotation, as the JSON holds it.
        shape_hw: height and width of the image.
        where: what an error names.

    Raises:
        InputError: it is none of the three forms, its `size` is not the image's, run lengths
            are not whole numbers that add up to the image, or a polygon has fewer than three
            corners, a corner that is no number or lies far outside the image.

    Examples:
        >>> compress_segmentation([[1, 0, 3, 0, 3, 2, 1, 2]], (2, 3), "annotation 1")
        b'24'
    """
    if isinstance(segmentation, dict):
        return _from_rle(segmentation, shape_hw, where)
    if isinstance(segmentation, list) and segmentation:
        for polygon in segmentation:
            _check_polygon(polygon, shape_hw, where)
        rles = coco_mask.frPyObjects(segmentation, *shape_hw)
        counts: bytes = coco_mask.merge(rles)["counts"]
        return counts
    raise InputError(where, problem="it has no segmentation", remedy=_AS_RLE)


def _from_rle(segmentation: dict[str, object], shape_hw: tuple[int, int], where: object) -> bytes:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [*shape_hw]:
        shown = str(size)[:40]
        raise InputError(
            where,
            f"segmentation.size {shown}",
            f"{[*shape_hw]}, height and width of the image",
            "correct the size, or encode the mask again",
        )
    if isinstance(counts, str) and counts.isascii():
        return counts.encode("ascii")
    if not isinstance(counts, list):
        raise InputError(where, problem="segmentation.counts are no run lengths", remedy=_AS_RLE)
    total = shape_hw[0] * shape_hw[1]
    if not all(type(length) is int and 0 <= length <= total for length in counts):
        raise InputError(
            where,
            problem="segmentation.counts has a length that is no whole number from 0 to H * W",
            remedy=_AS_RLE,
        )
    if sum(counts) != total:
        raise InputError(
            where,
            f"a mask of {sum(counts)} pixels",
            f"{total} ({shape_hw[1]}x{shape_hw[0]})",
            "encode masks at the full size of their image",
        )
    rle = {"size": [*shape_hw], "counts": np.array(counts, np.uint32)}
    compressed: bytes = coco_mask.frPyObjects(rle, *shape_hw)["counts"]
    return compressed


def _check_polygon(polygon: object, shape_hw: tuple[int, int], where: object) -> None:
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise InputError(
            where, problem="a polygon is no list of three or more corners x, y", remedy=_AS_RLE
        )
    if not all(type(value) in (int, float) for value in polygon):
        raise InputError(where, problem="a polygon has a corner that is no number", remedy=_AS_RLE)
    far = 2 * max(shape_hw)
    outside = [value for value in polygon if not (math.isfinite(value) and abs(value) <= far)]
    if outside:
        raise InputError(
            where,
            problem=f"a polygon has a corner at {outside[0]:g}, far outside the image",
            remedy="correct the polygon",
        )
    if 5 * _longest_sides(polygon) > _MOST_OUTLINE_POINTS:
        raise InputError(
            where, problem="a polygon's outline is too long", remedy="give run lengths instead"
        )


def _longest_sides(polygon: Sequence[float]) -> float:
    """Sum over the sides of the larger of width and height, as pycocotools walks them."""
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    steps = np.abs(np.roll(corners, -1, axis=0) - corners)
    return float(steps.max(axis=1).sum())
