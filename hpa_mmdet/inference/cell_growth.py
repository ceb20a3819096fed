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

from hpa_mmdet.inference.cell_nuclei import CellNuclei, match_nuclei
from hpa_mmdet.inference.mask_cleaning import largest_piece, separate_cells
from hpa_mmdet.masks.encode import encode_cells
from hpa_mmdet.masks.label_image import label_image_from_rles, shrink_labels
from hpa_mmdet.predictions.cells import CellPrediction
from hpa_mmdet.segment.cells import grow_cells
from hpa_mmdet.segment.filters import distance_to_outside, enlarge_labels, resize
from hpa_mmdet.segment.sizes import WORKING_DIAMETER_PX

BODY_STAINS = ("red", "yellow")
"""Stains that show how far a cell reaches."""
_CELL_PER_NUCLEUS = 2.0  # typical diameters, where there is no DNA stain to tell
_SURE_DEPTH = 0.5  # pixels deeper inside a found mask than this, in nucleus diameters, are its own
_LEAST_AGREEMENT = 0.5  # median IoU of found and grown masks; below, masks are not of cells
_WITHOUT_NUCLEUS = 0.5  # times this is p(cell) of a cell without a nucleus
_NUCLEUS_ALONE = 0.5  # p(cell) of a cell that only its nucleus shows


def grow_found_cells(
    cells: Sequence[CellPrediction], planes: Mapping[str, NDArray[np.integer]]
) -> list[CellPrediction]:
    """Grow the cells of one image from their nuclei and cores to the edges of the stains.

    Where most cells hold a nucleus, those that hold none have their p(cell) halved, each nucleus
    in no cell makes one of p(cell) 0.5, and a cell with several nuclei is parted into as many.

    Args:
        cells: N found cells by falling p(cell), each found once.
        planes: (H, W) channels by name; `red` or `yellow` is needed, `blue` helps.

    Returns:
        The cells by falling p(cell) with their new masks, which share no pixel. New ones have the
        mean localization scores of the others until they are named. Cells are only separated
        (see `separate_cells`) where no stain shows how far they reach, and where most grown
        masks are far from those found: such a network was taught to find something else, such
        as nuclei.
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
    diameter_px = typical_px * factor / _CELL_PER_NUCLEUS
    nothing = CellNuclei(np.zeros_like(small), [], np.zeros(len(parted), bool), diameter_px)
    dna = planes.get("blue")
    nuclei = nothing if dna is None else match_nuclei(
        small, len(parted), resize(dna.astype(np.float32), factor), diameter_px
    )  # fmt: skip
    markers = _with_cores(nuclei, small, len(parted))
    grown = enlarge_labels(grow_cells(markers, bodies, nuclei.diameter_px), shape_hw)
    as_found = np.r_[: len(parted) + 1, nuclei.held_by].astype(np.int32)
    if _agreement(parted, found, as_found[grown]) < _LEAST_AGREEMENT:
        return parted
    # those too small to be grown keep their own pixels; what belonged to none goes to its cell
    is_grown = np.bincount(grown.ravel(), minlength=len(as_found)) > 0
    is_grown[0] = True
    known = _with_new_cells(parted, nuclei)
    drawn = grown if is_grown.all() else np.where(is_grown[found], grown, found)
    _keep_largest_pieces(drawn)
    masks = encode_cells(drawn)
    kept = [
        replace(
            known[mask.cell_id - 1], counts=mask.counts, bbox_xywh=mask.bbox_xywh, area=mask.area
        )
        for mask in masks
    ]
    return sorted(kept, key=lambda cell: -cell.cell_score)


def _keep_largest_pieces(cells: NDArray[np.int32]) -> None:
    """Take from each cell of a label image what does not hang together, in place."""
    for number, box in enumerate(ndimage.find_objects(cells), start=1):
        if box is not None:
            inside = cells[box] == number
            cells[box][inside & ~largest_piece(inside)] = 0


def _with_new_cells(parted: Sequence[CellPrediction], nuclei: CellNuclei) -> list[CellPrediction]:
    """Weigh the found cells by their nuclei, and add those that only a nucleus shows."""
    weighed = [
        replace(cell, cell_score=cell.cell_score * (_WITHOUT_NUCLEUS if lacks else 1))
        for cell, lacks in zip(parted, nuclei.lacking, strict=True)
    ]
    names = np.stack([cell.localization_scores for cell in parted]).mean(axis=0, dtype=np.float32)
    unseen = replace(parted[0], cell_score=_NUCLEUS_ALONE, localization_scores=names)
    return weighed + [weighed[cell - 1] if cell else unseen for cell in nuclei.held_by]


def _with_cores(nuclei: CellNuclei, found: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    """Mark what surely belongs to each cell: its nuclei, and what lies deep inside it.

    A cell in whose mask the nucleus of a cell lies that was not found has no core: its mask may
    be that of both.
    """
    markers = nuclei.label_image.copy()
    unseen = markers > count
    for number, box in enumerate(ndimage.find_objects(found, count), start=1):
        if box is None:
            continue
        inside = found[box] == number
        if unseen[box][inside].any():
            continue
        depth = np.where(inside, distance_to_outside(inside), 0)
        sure = depth > _SURE_DEPTH * nuclei.diameter_px
        free = markers[box] == 0
        markers[box][sure & free] = number
    return markers


def _agreement(
    cells: Sequence[CellPrediction], found: NDArray[np.int32], grown: NDArray[np.int32]
) -> float:
    """Median over cells, which share no pixel, of the IoU of the mask found and the one grown."""
    same = np.where(found == grown, found, 0)
    shared, after = (
        np.bincount(labels.ravel(), minlength=len(cells) + 1)[1:] for labels in (same, grown)
    )
    both = np.array([cell.area for cell in cells]) + after - shared
    return float(np.median(shared / np.maximum(both, 1)))
