"""Which nucleus belongs to which found cell, and what follows for the cells.

A detector misses cells, takes two neighbours for one, and sees cells where none are. The nuclei
of the DNA stain tell: a cell has one. H, W: height and width of the picture in pixels; N: its
found cells, numbered from 1.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hpa_mmdet.inference.mask_cleaning import largest_piece
from hpa_mmdet.segment.filters import Plane, blur, otsu_level
from hpa_mmdet.segment.nuclei import find_nuclei

_FEWEST_PX = 20
_MOST_CELLS = 0.7  # share of the found cells that hold a nucleus, from which on nuclei are trusted
_FULL_SIZE = 0.3  # of the typical area of a nucleus: smaller ones are fragments
_MOST_SHARED = (2, 0.25)  # cells with several nuclei, their number and share: with more of both,
# the network was taught that such are one cell


class CellNuclei(NamedTuple):
    """The nuclei of found cells, and of cells that were not found.

    Args:
        label_image: (H, W) int32 of nuclei, by the numbers of their cells: 1 to N for found
            cells, from N + 1 on for those that only a nucleus shows.
        held_by: for each cell from N + 1 on the found cell that held its nucleus beside a
            larger one, 0 where none did.
        lacking: (N,) bool, cells in which no nucleus is. All False where too few cells hold one
            to trust the DNA stain.
        diameter_px: of a typical nucleus.
    """

    label_image: NDArray[np.int32]
    held_by: list[int]
    lacking: NDArray[np.bool_]
    diameter_px: float


def match_nuclei(
    found: NDArray[np.int32], count: int, dna: Plane, diameter_px: float
) -> CellNuclei:
    """Find the nuclei of a picture and say which cell holds which.

    A nucleus belongs to the cell that holds more than half of it. One that no cell holds makes a
    cell of its own, as does each but the largest of several in one cell, if such cells are few.
    A cell without a nucleus gets the brightest part of its DNA stain in its stead.

    Args:
        found: (H, W) label image of N cells.
        count: N.
        dna: (H, W) DNA stain.
        diameter_px: of a nucleus, where the stain shows none.
    """
    bright = _brightest_parts(found, blur(dna, 1.5))
    sizes = np.bincount(bright.ravel(), minlength=count + 1)[1:]
    if not sizes.any():
        nothing = np.zeros(count, bool)
        return CellNuclei(np.zeros_like(found), [], nothing, diameter_px)
    diameter_px = float(np.sqrt(4 / np.pi * np.median(sizes[sizes > 0])))
    nuclei = find_nuclei(dna, diameter_px)
    cell_of = _holders(nuclei, found, count)
    lacking = np.bincount(cell_of[1:], minlength=count + 1)[1:] == 0
    held_by: list[int] = []
    if lacking.mean() <= 1 - _MOST_CELLS:
        held_by = _add_cells(cell_of, np.bincount(nuclei.ravel()), count)
        known_lacking = lacking
    else:
        known_lacking = np.zeros(count, bool)
    numbered = cell_of[nuclei].astype(np.int32)
    instead = np.r_[False, lacking][bright] & (numbered == 0)
    return CellNuclei(np.where(instead, bright, numbered), held_by, known_lacking, diameter_px)


def _holders(nuclei: NDArray[np.int32], found: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Give for each nucleus, from 0 for none, the cell that holds more than half of it, or 0."""
    nucleus_count = int(nuclei.max(initial=0)) + 1
    pairs = nuclei.astype(np.int64) * (count + 1) + found
    shared = np.bincount(pairs.ravel(), minlength=nucleus_count * (count + 1))
    shared = shared.reshape(nucleus_count, count + 1)
    cell_of = 1 + shared[:, 1:].argmax(axis=1)
    inside = shared[np.arange(len(shared)), cell_of] > 0.5 * shared.sum(axis=1)
    inside[0] = False
    return np.where(inside, cell_of, 0)


def _add_cells(cell_of: NDArray[np.int64], areas: NDArray[np.int64], count: int) -> list[int]:
    """Number nuclei that need a cell of their own in `cell_of`; give who held each."""
    nuclei = np.flatnonzero(areas >= _FULL_SIZE * np.median(areas[1:]))
    nuclei = nuclei[nuclei > 0]
    shared = np.bincount(cell_of[nuclei], minlength=count + 1)[1:] > 1
    parts_cells = shared.sum() <= _MOST_SHARED[0] or shared.mean() <= _MOST_SHARED[1]
    largest: dict[int, int] = {}
    for nucleus in sorted(nuclei, key=lambda nucleus: areas[nucleus]):
        largest[int(cell_of[nucleus])] = int(nucleus)
    held_by: list[int] = []
    for nucleus in nuclei:
        cell = int(cell_of[nucleus])
        if cell == 0 or (parts_cells and largest[cell] != nucleus):
            held_by.append(cell)
            cell_of[nucleus] = count + len(held_by)
    return held_by


def _brightest_parts(found: NDArray[np.int32], dna: Plane) -> NDArray[np.int32]:
    """Give the largest piece of each cell that is brighter than Otsu's threshold inside it."""
    parts = np.zeros_like(found)
    for number, box in enumerate(ndimage.find_objects(found), start=1):
        if box is None:
            continue
        inside = found[box] == number
        values = dna[box][inside]
        level = otsu_level(values) if values.size >= _FEWEST_PX else None
        if level is None:
            continue
        bright = inside & (dna[box] > level)
        parts[box][largest_piece(bright)] = number
    return parts
