"""Found cells given the outlines that the image itself shows.

A mask head draws each cell by itself on a grid of 28 x 28, so outlines are ragged and
neighbours overlap. Here the network says which cells there are, and where surely; the rest of
each is grown over the image's stains, as the watershed segmenter grows cells from nuclei.

H, W: height and width of the image in pixels; N: its cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from hpa_mmdet.inference.mask_cleaning import largest_piece, separate_cells
from hpa_mmdet.masks.encode import encode_cells
from hpa_mmdet.masks.label_image import label_image_from_rles, shrink_labels
from hpa_mmdet.predictions.cells import CellPrediction
from hpa_mmdet.segment.cells import grow_cells
from hpa_mmdet.segment.filters import Plane, blur, distance_to_outside, enlarge_labels, resize
from hpa_mmdet.segment.nuclei import find_nuclei
from hpa_mmdet.segment.sizes import WORKING_DIAMETER_PX

BODY_STAINS = ("red", "yellow")
"""Stains that show how far a cell reaches."""
_CELL_PER_NUCLEUS = 2.0  # typical diameters, where there is no DNA stain to tell
_SURE_DEPTH = 0.5  # pixels deeper inside a found mask than this, in nucleus diameters, are its own
_LEAST_AGREEMENT = 0.5  # median IoU of found and grown masks; below, masks are not of cells
_FEWEST_PX = 20


def grow_found_cells(
    cells: Sequence[CellPrediction], planes: Mapping[str, NDArray[np.integer]]
) -> list[CellPrediction]:
    """Grow the cells of one image from their nuclei and cores to the edges of the stains.

    Args:
        cells: N found cells by falling p(cell), each found once.
        planes: (H, W) channels by name; `red` or `yellow` is needed, `blue` helps.

    Returns:
        The cells with their new masks, which share no pixel; scores stay as they are. Cells
        are only separated (see `separate_cells`) where no stain shows how far they reach,
        and where most grown masks are far from those found: such a network was taught to
        find something else, such as nuclei.
    """
    parted = separate_cells(cells)
    stains = [planes[name] for name in BODY_STAINS if name in planes]
    if not parted or not stains:
        return parted
    shape_hw = parted[0].shape_hw
    typical_px = float(np.sqrt(4 / np.pi * np.median([cell.area for cell in parted])))
    factor = min(1.0, WORKING_DIAMETER_PX * _CELL_PER_NUCLEUS / typical_px)
    found = label_image_from_rles([cell.counts for cell in parted], shape_hw).astype(np.int32)
    bodies = [resize(plane.astype(np.float32), factor) for plane in stains]
    small = shrink_labels(found, bodies[0].shape)
    dna = None if "blue" not in planes else resize(planes["blue"].astype(np.float32), factor)
    markers, diameter = _markers(small, len(parted), dna, typical_px * factor / _CELL_PER_NUCLEUS)
    grown = enlarge_labels(grow_cells(markers, bodies, diameter), shape_hw)
    if _agreement(found, grown, len(parted)) < _LEAST_AGREEMENT:
        return parted
    lost = np.setdiff1d(found, grown)  # too small to be grown: they keep their own pixels
    masks = encode_cells(np.where(np.isin(found, lost), found, grown))
    return [
        replace(
            parted[mask.cell_id - 1],
            counts=mask.counts,
            bbox_xywh=mask.bbox_xywh,
            area=mask.area,
        )
        for mask in masks
    ]


def _markers(
    found: NDArray[np.int32], count: int, dna: Plane | None, diameter: float
) -> tuple[NDArray[np.int32], float]:
    """Mark what surely belongs to each cell: its nuclei, and what lies deep inside it.

    Returns:
        (H, W) label image with the cells' numbers, and the nuclei's typical diameter.
    """
    nuclei = np.zeros_like(found)
    if dna is not None:
        bright = _brightest_parts(found, blur(dna, 1.5))
        sizes = np.bincount(bright.ravel(), minlength=count + 1)[1:]
        if sizes.any():
            diameter = float(np.sqrt(4 / np.pi * np.median(sizes[sizes > 0])))
            nuclei = _of_their_cells(find_nuclei(dna, diameter), found, count)
            without = np.bincount(nuclei.ravel(), minlength=count + 1) == 0
            nuclei = np.where((nuclei == 0) & without[bright], bright, nuclei)
    markers = nuclei.copy()
    for number, box in enumerate(ndimage.find_objects(found, count), start=1):
        if box is None:
            continue
        inside = found[box] == number
        depth = np.where(inside, distance_to_outside(inside), 0)
        sure = depth > _SURE_DEPTH * diameter
        free = markers[box] == 0
        markers[box][sure & free] = number
    return markers.astype(np.int32), diameter


def _brightest_parts(found: NDArray[np.int32], dna: Plane) -> NDArray[np.int32]:
    """Give the largest piece of each cell that is brighter than Otsu's threshold inside it."""
    parts = np.zeros_like(found)
    for number, box in enumerate(ndimage.find_objects(found), start=1):
        if box is None:
            continue
        inside = found[box] == number
        values = dna[box][inside]
        if values.size < _FEWEST_PX or np.ptp(values) == 0:
            continue
        bright = inside & (dna[box] > threshold_otsu(values))
        parts[box][largest_piece(bright)] = number
    return parts


def _of_their_cells(
    nuclei: NDArray[np.int32], found: NDArray[np.int32], count: int
) -> NDArray[np.int32]:
    """Number nuclei as the cells that hold more than half of them; others are left out."""
    shared = np.zeros((int(nuclei.max(initial=0)) + 1, count + 1), np.int64)
    np.add.at(shared, (nuclei.ravel(), found.ravel()), 1)
    cell_of = 1 + shared[:, 1:].argmax(axis=1)
    inside = shared[np.arange(len(shared)), cell_of] > 0.5 * shared.sum(axis=1)
    inside[0] = False
    return np.where(inside, cell_of, 0).astype(np.int32)[nuclei]


def _agreement(found: NDArray[np.int32], grown: NDArray[np.int32], count: int) -> float:
    """Median over cells of the IoU of the mask found and the one grown."""
    shared = np.bincount(found[found == grown], minlength=count + 1)[1:]
    both = np.bincount(found.ravel(), minlength=count + 1)[1:]
    both = both + np.bincount(grown.ravel(), minlength=count + 1)[1:] - shared
    return float(np.median(shared / np.maximum(both, 1)))
