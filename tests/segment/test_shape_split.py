"""Pieces that are joined again, by hand."""

import numpy as np
import pytest

from hpa_mmdet.segment.shape_split import _contacts, _join, _rename, split_by_shape


def pieces_of(*widths: int) -> np.ndarray:
    """Pieces 1, 2, ... side by side, each 3 pixels high."""
    row = np.repeat(np.arange(1, len(widths) + 1), widths)
    return np.tile(row, (3, 1)).astype(np.int32)


@pytest.mark.parametrize("widths", [(2, 9), (9, 2)], ids=["the first", "the second"])
@pytest.mark.parametrize(("least_area", "pieces"), [(6.0, 2), (6.5, 1)])
def test_a_small_piece_is_joined_whichever_it_is(
    widths: tuple[int, int], least_area: float, pieces: int
) -> None:
    before = pieces_of(*widths)
    inside = np.ones(before.shape, np.float32)
    radius = {1: 5.0, 2: 5.0}
    assert len(np.unique(_join(before, inside, radius, least_area))) == pieces


@pytest.mark.parametrize("narrow", [1, 2])
def test_a_neck_is_measured_by_the_narrower_side(narrow: int) -> None:
    before = pieces_of(6, 6)
    inside = np.full(before.shape, 4, np.float32)
    radius = {1: 9.0, 2: 9.0, narrow: 5.0}  # 4 is 0.8 of 5: no neck
    assert len(np.unique(_join(before, inside, radius, 0))) == 1
    radius = {1: 9.0, 2: 9.0, narrow: 5.1}
    assert len(np.unique(_join(pieces_of(6, 6), inside, radius, 0))) == 2


def test_contacts_may_be_shallow() -> None:
    pieces = pieces_of(2, 2)
    contacts = _contacts(pieces, np.full(pieces.shape, 0.25, np.float32))
    assert contacts == {(1, 2): 0.25}
    for turned in (pieces[:, ::-1], pieces.T, pieces.T[::-1]):  # 2 may be left of 1, or above
        assert _contacts(turned, np.full(turned.shape, 0.25, np.float32)) == contacts
    assert _rename({(1, 2): 0.25, (2, 3): 0.5}, gone=3, kept=1) == {(1, 2): 0.5}
    assert _rename({(1, 3): 0.25}, gone=3, kept=2) == {(1, 2): 0.25}


def test_a_joined_piece_has_both_areas_and_the_larger_radius() -> None:
    before = pieces_of(4, 4, 4)
    inside = np.zeros(before.shape, np.float32)
    inside[:, 3:5], inside[:, 7:9] = 5, 3
    # 1 and 2 are joined first, by a wide contact; then 3 of 6 is a neck, 3 of 3.5 none
    found = _join(before.copy(), inside, {1: 6.0, 2: 5.5, 3: 6.0}, 0)
    assert [len(np.unique(found[:, :8])), len(np.unique(found))] == [1, 2]
    assert len(np.unique(_join(before.copy(), inside, {1: 6.0, 2: 5.5, 3: 3.5}, 0))) == 1
    # 1 and 2 have 24 pixels together, 3 has 12
    found = _join(before.copy(), inside, {1: 6.0, 2: 5.5, 3: 6.0}, 12.5)
    assert len(np.unique(found)) == 1


def test_one_disc_is_one_piece_and_nothing_is_lost() -> None:
    y, x = np.mgrid[:70, :90]
    disc = np.hypot(y - 35, x - 40) < 20
    np.testing.assert_array_equal(split_by_shape(disc, 40), disc.astype(np.int32))


@pytest.mark.parametrize(("radius", "pieces"), [(6.5, 1), (7.5, 2)])
def test_a_piece_of_a_seventh_of_a_nucleus_is_cut_off(radius: float, pieces: int) -> None:
    y, x = np.mgrid[:120, :160]
    nucleus = np.hypot(y - 60, x - 60) < 18
    beside = np.hypot(y - 60, x - 78 - radius) < radius  # 133 and 177 pixels; the limit is 153
    bridge = (abs(y - 60) < 2) & (x >= 60) & (x < 80)
    assert split_by_shape(nucleus | beside | bridge, 36.0).max() == pieces
