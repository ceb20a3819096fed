"""Cells found twice go, neighbours part their pixels, each cell is one piece without holes."""

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cleaning import check_cleaning, clean_cells
from hpa_mmdet.inference.mask_cleaning import separate_cells, suppress_contained
from hpa_mmdet.masks.runs import runs_of_crop
from hpa_mmdet.predictions.cells import CellPrediction

SHAPE_HW = (40, 70)


def cell_of(mask: np.ndarray, score: float = 0.9) -> CellPrediction:
    scores = np.full(19, score / 2, np.float32)
    return CellPrediction.of_runs(runs_of_crop(mask, 0, 0, SHAPE_HW), score, scores)


def box(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SHAPE_HW, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def pixels(cell: CellPrediction) -> np.ndarray:
    return cell.runs.crop((0, 0, SHAPE_HW[1], SHAPE_HW[0]))


def test_a_cell_mostly_within_a_surer_one_goes() -> None:
    whole = cell_of(box(10, 10, 20, 20), 0.9)
    part = cell_of(box(12, 12, 6, 6), 0.8)  # all of it
    around = cell_of(box(4, 6, 34, 30), 0.7)  # holds all of the first
    half = cell_of(box(20, 10, 20, 20), 0.6)  # 200 of 400: not more than half
    more = cell_of(box(19, 10, 20, 20), 0.5)  # 220 of 400
    assert suppress_contained([whole, part, around, half, more]) == [whole, half]
    assert suppress_contained([]) == []


def test_a_cell_that_goes_takes_no_other_with_it() -> None:
    first, second = cell_of(box(0, 0, 20, 10), 0.9), cell_of(box(8, 0, 20, 10), 0.8)
    third = cell_of(box(22, 0, 20, 10), 0.7)  # within the second alone
    assert suppress_contained([first, second, third]) == [first, third]


def test_pixels_of_two_cells_go_where_they_lie_deeper() -> None:
    left, right = cell_of(box(5, 5, 22, 20)), cell_of(box(21, 5, 30, 20), 0.8)
    one, other = separate_cells([left, right])
    assert not (pixels(one) & pixels(other)).any()
    assert np.array_equal(pixels(one) | pixels(other), pixels(left) | pixels(right))
    assert pixels(one)[15, 22]
    assert pixels(other)[15, 25]
    assert (one.cell_score, other.cell_score) == (0.9, 0.8)
    assert one.localization_scores[3] == np.float32(0.45)


def test_three_cells_on_one_spot_share_no_pixel() -> None:
    masks = [box(5, 5, 20, 20), box(15, 8, 24, 20), box(10, 15, 24, 20)]
    cells = separate_cells([cell_of(mask) for mask in masks])
    assert len(cells) == 3
    assert sum(pixels(cell).astype(int) for cell in cells).max() == 1


def test_each_cell_is_one_piece_without_holes() -> None:
    ring = box(5, 5, 20, 20) & ~box(10, 10, 6, 6)
    crumb = box(40, 30, 3, 2)
    (cell,) = separate_cells([cell_of(ring | crumb)])
    assert np.array_equal(pixels(cell), box(5, 5, 20, 20))


def test_the_largest_piece_stays_where_a_neighbour_cuts_a_cell_in_two() -> None:
    thin, thick = cell_of(box(2, 18, 60, 5)), cell_of(box(15, 8, 24, 26), 0.8)
    one, _ = separate_cells([thin, thick])
    assert one.bbox_xywh == (36, 18, 26, 5)  # it is deeper at the rim of the other


def test_what_is_asked_for_is_done() -> None:
    cells = [
        cell_of(box(5, 5, 22, 20)),
        cell_of(box(21, 5, 30, 20), 0.8),
        cell_of(box(6, 6, 5, 5), 0.1),
    ]
    assert clean_cells(cells, "none") == cells
    assert clean_cells(cells, "suppress") == cells[:2]
    assert [cell.cell_score for cell in clean_cells(cells, "separate")] == [0.9, 0.8]
    assert clean_cells([], "separate") == []
    with pytest.raises(InputError, match="--clean: found all, expected none, suppress, separate"):
        check_cleaning("all")
