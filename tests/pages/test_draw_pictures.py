"""Outlines lie on the cell, texts inside the picture and apart from each other."""

import numpy as np
import pytest

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.masks.runs import runs_of_crop
from hpa_mmdet.pages.draw import (
    draw_cells,
    localization_legend,
    named,
    outline,
    outline_runs,
)

SHAPE_HW = (60, 90)


def box_mask() -> np.ndarray:
    mask = np.zeros(SHAPE_HW, bool)
    mask[5:25, 10:40] = True
    return mask


def test_a_mask_has_its_outline_and_middle() -> None:
    cell = outline_runs(runs_of_crop(box_mask(), 0, 0, SHAPE_HW))
    (contour,) = cell.contours
    assert contour.min(axis=0).tolist() == [10, 5]
    assert contour.max(axis=0).tolist() == [39, 24]
    x, y = cell.anchor_xy
    assert abs(y - 14.5) <= 1
    assert 19 <= x <= 31


def test_a_mask_without_pixels_has_no_outline() -> None:
    cell = outline_runs(runs_of_crop(np.zeros((1, 1), bool), 0, 0, SHAPE_HW))
    assert cell.contours == ()
    picture = np.zeros((*SHAPE_HW, 3), np.uint8)
    assert not draw_cells(picture, [cell]).any()


def test_a_hole_is_outlined_too() -> None:
    mask = np.ones((9, 11), bool)
    mask[3:6, 4:7] = False
    assert len(outline(mask).contours) == 2


def test_the_line_is_drawn_on_the_edge_in_the_cells_colour() -> None:
    picture = np.zeros((*SHAPE_HW, 3), np.uint8)
    cell = named(outline(box_mask()), [14, 2])
    drawn = draw_cells(picture, [cell], line_px=1, text_px=0)
    want = np.array(LOCALIZATIONS[14].colour_rgb, float)
    for edge in (drawn[5, 20], drawn[15, 10], drawn[24, 20], drawn[15, 39]):  # smooth: a bit dim
        share = edge / want
        assert share.min() > 0.75
        assert np.ptp(share) < 0.02
    assert not drawn[15, 20].any()
    assert not drawn[40:].any()
    assert not picture.any()  # the input is left as it was


def test_a_smaller_picture_shows_the_outline_at_its_scale() -> None:
    picture = np.zeros((30, 45, 3), np.uint8)
    cell = outline(box_mask())
    drawn = draw_cells(picture, [cell], scale=0.5, line_px=1, text_px=0)
    rows, columns = np.nonzero(drawn[..., 0] > 60)
    np.testing.assert_allclose([rows.min(), rows.max()], [2.25, 11.75], atol=0.8)
    np.testing.assert_allclose([columns.min(), columns.max()], [4.75, 19.25], atol=0.8)


def test_texts_stay_inside_and_do_not_cover_each_other() -> None:
    picture = np.full((200, 300, 3), 255, np.uint8)
    corner = outline(np.ones((4, 4), bool), (296, 0))
    beside = outline(np.ones((4, 4), bool), (290, 2))
    alone = draw_cells(picture, [named(corner, [17], [0.5])], text_px=12)
    both = draw_cells(picture, [named(corner, [17], [0.5]), named(beside, [3])], text_px=12)
    changed = np.nonzero((both != alone).any(axis=2))[0]
    first = np.nonzero((alone != picture).any(axis=2))[0]
    assert first.min() == 0
    # the second text begins below the first one (its outline lies within the first's rows)
    assert changed.max() > first.max() + 8


@pytest.mark.parametrize("corner_xy", [(0, 0), (296, 0), (0, 196), (296, 196)])
def test_a_text_at_a_corner_is_shown_whole(corner_xy: tuple[int, int]) -> None:
    picture = np.full((200, 300, 3), 255, np.uint8)

    def text_pixels(place_xy: tuple[int, int]) -> int:
        cell = named(outline(np.ones((4, 4), bool), place_xy), [17], [0.5])
        without = draw_cells(picture, [cell], text_px=0)
        return int((draw_cells(picture, [cell], text_px=12) != without).any(axis=2).sum())

    assert text_pixels(corner_xy) == pytest.approx(text_pixels((150, 100)), rel=0.1)


def test_a_cell_without_label_is_white_and_has_no_text() -> None:
    cell = named(outline(np.ones((8, 8), bool), (20, 20)), [])
    drawn = draw_cells(np.zeros((*SHAPE_HW, 3), np.uint8), [cell], line_px=1)
    assert drawn[20, 23].min() == drawn[20, 23].max() > 200
    assert not drawn[24, 24].any()


def test_the_legend_names_all_or_the_given_ones() -> None:
    assert len(localization_legend()) == 19
    assert localization_legend([16, 6, 16]) == [
        ("Endoplasmic reticulum", LOCALIZATIONS[6].colour_rgb),
        ("Cytosol", LOCALIZATIONS[16].colour_rgb),
    ]
