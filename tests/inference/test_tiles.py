"""Tiles cover an image, and a cell on a seam is one cell."""

from itertools import pairwise

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.geometry import Tile, cut_tiles
from hpa_mmdet.inference.seams import merge_tiles
from hpa_mmdet.masks.runs import clip_runs, runs_of_crop
from hpa_mmdet.predictions.cells import CellPrediction

SHAPE_HW = (60, 100)


def found(mask: np.ndarray, score: float = 0.5, shown: float = 0.5) -> CellPrediction:
    return CellPrediction.of_runs(
        runs_of_crop(mask, 0, 0, SHAPE_HW), score, np.full(19, shown, np.float32)
    )


def box(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SHAPE_HW, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def seen_by(tile: Tile, mask: np.ndarray) -> np.ndarray:
    return mask & box(*tile)


@pytest.mark.parametrize("shape_hw", [(60, 100), (61, 47), (200, 333), (20, 20), (1, 500)])
@pytest.mark.parametrize(("tile", "overlap"), [(47, 11), (64, 0), (32, 31)])
def test_tiles_cover_the_image_and_overlap(
    shape_hw: tuple[int, int], tile: int, overlap: int
) -> None:
    seen = np.zeros(shape_hw, int)
    tiles = cut_tiles(shape_hw, tile, overlap)
    for one in tiles:
        assert (one.width, one.height) == (min(tile, shape_hw[1]), min(tile, shape_hw[0]))
        seen[one.slices] += 1
    assert seen.min() == 1 or overlap > 0
    xs = sorted({one.x for one in tiles})
    assert all(after - before <= tile - overlap for before, after in pairwise(xs))


def test_without_a_tile_the_image_is_one() -> None:
    assert cut_tiles((60, 100), None, 128) == [Tile(0, 0, 100, 60)]


def test_a_tile_without_pixels_is_refused() -> None:
    with pytest.raises(InputError, match="--tile: found 0, expected 1 or more pixels"):
        cut_tiles((600, 600), 0, 0)


@pytest.mark.parametrize("overlap", [-1, 64, 70])
def test_an_overlap_that_leaves_no_step_is_refused(overlap: int) -> None:
    with pytest.raises(InputError, match=f"--overlap: found {overlap}, expected 0 to 63, less"):
        cut_tiles((600, 600), 64, overlap)


TILES = [Tile(0, 0, 60, 60), Tile(40, 0, 60, 60)]  # both see columns 40 to 59


def test_a_cell_that_both_tiles_cut_is_put_together() -> None:
    whole = box(30, 20, 40, 9)
    parts = [found(seen_by(TILES[0], whole), 0.6, 0.2), found(seen_by(TILES[1], whole), 0.9, 0.8)]
    (cell,) = merge_tiles(TILES, [[parts[0]], [parts[1]]])
    assert np.array_equal(cell.runs.crop((0, 0, 100, 60)), whole)
    assert cell.cell_score == 0.9
    assert cell.localization_scores[0] == pytest.approx(0.5)  # 30 columns each


def test_of_a_cell_that_is_whole_in_one_tile_the_whole_one_is_kept() -> None:
    whole = box(46, 20, 30, 9)  # columns 46 to 75: the first tile cuts it
    cut = found(seen_by(TILES[0], whole), 0.95, 0.1)
    kept = found(whole, 0.6, 0.7)
    (cell,) = merge_tiles(TILES, [[cut], [kept]])
    assert cell is kept


def test_a_sliver_of_a_cell_of_the_other_tile_goes() -> None:
    whole = box(57, 20, 30, 9)  # the first tile sees three columns of it, and badly
    sliver = found(box(57, 22, 3, 5), 0.3)
    (cell,) = merge_tiles(TILES, [[sliver], [found(whole, 0.6)]])
    assert np.array_equal(cell.runs.crop((0, 0, 100, 60)), whole)


def test_a_cell_whole_in_both_tiles_is_the_better_one() -> None:
    one, other = found(box(45, 10, 10, 10), 0.5), found(box(45, 11, 10, 10), 0.8)
    (cell,) = merge_tiles(TILES, [[one], [other]])
    assert cell is other


def test_neighbours_in_the_overlap_stay_two() -> None:
    left, right = box(30, 20, 18, 12), box(48, 20, 30, 12)
    cells = merge_tiles(
        TILES,
        [
            [found(seen_by(TILES[0], mask)) for mask in (left, right)],
            [found(seen_by(TILES[1], mask)) for mask in (left, right)],
        ],
    )
    assert [cell.area for cell in cells] == [18 * 12, 30 * 12]


def test_cells_of_one_tile_are_never_joined_through_another() -> None:
    upper, lower = box(20, 20, 30, 5), box(20, 25, 30, 5)
    both = box(40, 20, 10, 10)  # the other tile takes the two for one
    cells = merge_tiles(TILES, [[found(upper), found(lower)], [found(both)]])
    assert len(cells) == 2


def test_four_tiles_around_a_corner() -> None:
    tiles = cut_tiles((60, 100), 40, 10)
    assert len(tiles) == 6
    whole = box(28, 24, 20, 20)
    parts = [seen_by(tile, whole) for tile in tiles]
    (cell,) = merge_tiles(tiles, [[found(part)] if part.any() else [] for part in parts])
    assert cell.runs.area == 400


def test_halves_without_an_overlap_are_put_together_where_they_meet() -> None:
    tiles = [Tile(0, 0, 50, 60), Tile(50, 0, 50, 60)]
    whole, alone = box(35, 12, 30, 20), box(55, 33, 20, 9)
    cells = [
        [found(seen_by(tile, mask)) for mask in (whole, alone) if seen_by(tile, mask).any()]
        for tile in tiles
    ]
    merged = merge_tiles(tiles, cells)
    assert [cell.area for cell in merged] == [whole.sum(), alone.sum()]


def test_halves_that_only_touch_at_a_corner_of_the_seam_stay_two() -> None:
    tiles = [Tile(0, 0, 50, 60), Tile(50, 0, 50, 60)]
    upper, lower = box(30, 10, 20, 15), box(50, 23, 20, 15)  # two of fifteen rows in common
    assert len(merge_tiles(tiles, [[found(upper)], [found(lower)]])) == 2


def test_two_weak_slivers_of_one_whole_cell_both_go() -> None:
    whole = box(50, 20, 30, 9)
    slivers = [found(box(50, 20, 10, 5), 0.2), found(box(51, 22, 9, 7), 0.3)]
    (cell,) = merge_tiles(TILES, [slivers, [found(whole, 0.9)]])
    assert cell.cell_score == 0.9


def test_a_part_is_not_given_up_for_a_doubtful_whole() -> None:
    part, doubtful = found(box(45, 20, 15, 9), 0.9), found(box(46, 20, 5, 5), 0.05)
    cells = merge_tiles(TILES, [[part], [doubtful]])
    assert part in cells


def test_coarse_boxes_end_farther_from_the_edge() -> None:
    tiles = [Tile(0, 0, 50, 60), Tile(50, 0, 50, 60)]
    halves = [[found(box(20, 10, 23, 20))], [found(box(57, 10, 23, 20))]]
    assert len(merge_tiles(tiles, halves)) == 2
    (cell,) = merge_tiles(tiles, halves, edge_px=10)
    assert cell.runs.area == 2 * 23 * 20


def test_no_cells() -> None:
    assert merge_tiles(TILES, [[], []]) == []


def test_a_clipped_mask_is_the_part_in_the_box() -> None:
    mask = np.random.default_rng(0).random(SHAPE_HW) < 0.5
    mask[:, 20:23] = True
    runs = runs_of_crop(mask, 0, 0, SHAPE_HW)
    want = mask & box(15, 7, 30, 20)
    assert clip_runs(runs, (15, 7, 30, 20)).to_counts() == found(want).runs.to_counts()
    assert (
        clip_runs(runs, (15, 0, 10, 60)).to_counts()
        == found(mask & box(15, 0, 10, 60)).runs.to_counts()
    )
