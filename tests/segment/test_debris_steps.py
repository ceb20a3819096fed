"""Debris, bars, spill and halos, told from nuclei by hand-made planes."""

import numpy as np
import pytest
from hand_made_planes import DIAMETER, SHAPE_HW, TYPICAL_AREA, disc

from hpa_mmdet.segment.artefacts import BAR_FILLED, BAR_SHAPE, without_scale_bars, without_spill
from hpa_mmdet.segment.debris import drop_debris, ring_median
from hpa_mmdet.segment.filters import (
    blur,
)
from hpa_mmdet.segment.shape_split import split_by_shape


def scene(**changes: float) -> tuple[np.ndarray, np.ndarray]:
    """Three typical nuclei and a fourth that is changed; label image and brightness."""
    radius, level = changes.get("radius", 15), changes.get("level", 100.0)
    centre = (60, 170 + (30 if changes.get("at_border") else 0))
    discs = [disc((60, 25), 15), disc((60, 65), 15), disc((60, 110), 15), disc(centre, radius)]
    labels, bright = np.zeros(SHAPE_HW, np.int32), np.zeros(SHAPE_HW, np.float32)
    for at, mask in enumerate(discs, start=1):
        labels[mask], bright[mask] = at, 100.0 if at < 4 else level
    soft = blur(bright, changes["blur"]) if "blur" in changes else bright
    bright = np.where(np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]][1] > 140, soft, bright)
    if "stripes" in changes:
        dark = (labels == 4) & (np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]][0] % 4 < 1)
        bright = np.where(dark, bright * (1 - changes["stripes"]), bright)
    return labels, bright.astype(np.float32)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        pytest.param({}, True, id="like the others"),
        pytest.param({"level": 25.0}, True, id="dim"),
        pytest.param({"level": 19.0}, False, id="too dim"),
        pytest.param({"blur": 1.0}, True, id="soft"),
        pytest.param({"blur": 8.0}, False, id="blurred"),
        pytest.param({"radius": 9}, True, id="small"),
        pytest.param({"radius": 7.5}, False, id="too small"),
        pytest.param({"radius": 9.5, "at_border": True}, True, id="small at the border"),
        pytest.param({"stripes": 0.9}, True, id="uneven"),
        pytest.param({"stripes": 1.6}, False, id="too uneven"),
        pytest.param({"stripes": 1.6, "at_border": True}, True, id="uneven at the border"),
    ],
)
def test_debris_is_told_by_brightness_edge_size_and_evenness(
    changes: dict[str, float], kept: bool
) -> None:
    labels, bright = scene(**changes)
    found = drop_debris(labels, bright, 30)
    assert np.unique(found).tolist() == ([0, 1, 2, 3, 4] if kept else [0, 1, 2, 3])
    np.testing.assert_array_equal(found[found > 0], labels[found > 0])


def test_debris_of_nothing_is_nothing() -> None:
    empty = np.zeros(SHAPE_HW, np.int32)
    assert not drop_debris(empty, empty.astype(np.float32), 30).any()


def bar(height: int, width: int, level: float = 255, filled: float = 1.0) -> np.ndarray:
    plane = np.full(SHAPE_HW, 20, np.float32)
    plane[80 : 80 + height, 20 : 20 + round(width * filled)] = level
    if filled < 1:
        plane[80, 20 : 20 + width] = level
    return plane


@pytest.mark.parametrize(
    ("plane", "is_bar"),
    [
        pytest.param(bar(4, 24), True, id="six times as wide"),
        pytest.param(bar(4, 23), False, id="not wide enough"),
        pytest.param(bar(1, 40), False, id="a line"),
        pytest.param(bar(2, 40), True, id="two lines"),
        pytest.param(bar(4, 40, filled=0.9), True, id="filled"),
        pytest.param(bar(4, 40, filled=0.8), False, id="not filled"),
        pytest.param(bar(2, 20, filled=0.8), True, id="filled to 36 of 40 pixels"),
    ],
)
def test_a_scale_bar_is_a_filled_wide_rectangle(plane: np.ndarray, is_bar: bool) -> None:
    assert (BAR_SHAPE, BAR_FILLED) == (6.0, 0.9)
    found = without_scale_bars({"red": plane, "blue": plane.copy()})
    assert ((found["red"] == 20).all(), (found["blue"] == 20).all()) == (is_bar, is_bar)


def test_a_bar_is_white_in_every_plane_and_filled_from_its_rim() -> None:
    other = np.full(SHAPE_HW, 20, np.float32)
    other[0, 0] = 255
    found = without_scale_bars({"red": bar(4, 30), "blue": other})
    np.testing.assert_array_equal(found["red"], bar(4, 30))
    soft = bar(4, 30)
    soft[78:80, 20:50] = 90  # what a JPEG leaves around it
    soft[10:20, 25:35] = soft[100:110, 25:35] = soft[78:84, 70:80] = 120  # and what stays
    filled = without_scale_bars({"red": soft, "blue": bar(4, 30, 250)})["red"]
    np.testing.assert_array_equal(filled == 120, soft == 120)
    assert (filled[soft != 120] == 20).all()
    assert soft[81, 25] == 255  # the planes given are not changed
    assert without_scale_bars({}) == {}


@pytest.mark.parametrize(
    ("share", "other_level", "taken"),
    [
        pytest.param(0.1, 200.0, 0.1, id="spill"),
        pytest.param(0.4, 200.0, 0.25, id="no more than a quarter"),
        pytest.param(0.1, 30.0, 0.0, id="too weak to leave a trace"),
    ],
)
def test_spill_is_the_lower_ratio_where_the_other_is_bright(
    share: float, other_level: float, taken: float
) -> None:
    other = np.where(disc((60, 100), 50), other_level, 0).astype(np.float32)
    nuclei = np.where(disc((60, 100), 12), 400, 0).astype(np.float32)
    clean = without_spill(nuclei + share * other, {"red": other})
    assert clean is not None
    assert clean[60, 70] == pytest.approx((share - taken) * other_level, abs=0.2)
    assert clean[60, 100] == pytest.approx(400 + (share - taken) * other_level, abs=0.2)
    assert clean.min() >= 0


def test_a_small_bump_is_no_piece_of_its_own() -> None:
    body, least = disc((60, 60), 18), 0.15 * TYPICAL_AREA
    for radius, pieces in ((5.5, 1), (8.5, 2)):
        bump = disc((60, 60 + 17 + radius), radius)
        assert ((bump & ~body).sum() >= least) == (pieces == 2)
        found = split_by_shape(body | bump, DIAMETER)
        assert len(np.unique(found)) - 1 == pieces


@pytest.mark.parametrize(("level", "is_stain"), [(60.0, False), (120.0, True)])
def test_what_hardly_stands_out_of_the_spill_is_no_stain(level: float, is_stain: bool) -> None:
    other = np.where(disc((60, 100), 50), 200, 0).astype(np.float32)
    nuclei = np.where(disc((60, 100), 12), level, 0).astype(np.float32)
    clean = without_spill(nuclei + 0.1 * other, {"red": other})  # 20 of spill, four times that
    assert (clean is not None) == is_stain


def test_a_nucleus_in_a_halo_is_measured_by_what_it_adds_to_it() -> None:
    labels, bright = scene(level=100.0)
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    halo = 500 * np.exp(-((y - 60) ** 2 + (x - 170) ** 2) / (2 * 30.0**2))
    found = drop_debris(labels, (blur(bright, 1.0) + halo).astype(np.float32), 30)
    assert np.unique(found).tolist() == [0, 1, 2, 3, 4]


def test_the_ring_lies_a_little_outside_of_each_label() -> None:
    labels, bright = np.zeros(SHAPE_HW, np.int32), np.full(SHAPE_HW, 5.0, np.float32)
    labels[disc((60, 60), 12)], labels[disc((60, 150), 12)] = 2, 5
    bright[disc((60, 60), 15)] = 90  # blur of the edge, a twelfth of a diameter
    bright[disc((60, 150), 21)] = 30
    ring = ring_median(bright, labels, np.array([2, 5], np.int32), 36)
    assert ring.tolist() == [5, 30]
