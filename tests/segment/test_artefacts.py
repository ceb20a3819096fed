"""Scale bars and spill, at the edges of what they are."""

import numpy as np
import pytest

from hpa_mmdet.segment.artefacts import LOOK, without_scale_bars, without_spill

SHAPE_HW = (150, 230)


def disc(centre_yx: tuple[float, float], radius: float, shape_hw: tuple[int, int] = SHAPE_HW):
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) < radius


def with_bars(*corners_yx: tuple[int, int], level: float = 255) -> np.ndarray:
    """Bars of 4 by 30 pixels on a ground of 20."""
    plane = np.full(SHAPE_HW, 20, np.float32)
    for y, x in corners_yx:
        plane[y : y + 4, x : x + 30] = level
    return plane


def filled(plane: np.ndarray) -> np.ndarray:
    return without_scale_bars({"red": plane, "blue": plane.copy()})["red"]


def test_every_bar_is_filled() -> None:
    assert (filled(with_bars((80, 20), (120, 150), (10, 190))) == 20).all()


@pytest.mark.parametrize(("level", "is_bar"), [(190, True), (189, False)])
def test_a_bar_is_white_from_95_percent_of_the_brightest_on(level: int, is_bar: bool) -> None:
    plane = with_bars((80, 20), level=level)
    plane[0, 0] = 200
    assert (filled(plane)[80:84, 20:50] == 20).all() == is_bar


@pytest.mark.parametrize("brighter", ["red", "blue"])
def test_white_is_that_of_the_brightest_plane(brighter: str) -> None:
    planes = {name: with_bars((80, 20), level=200) for name in ("red", "blue")}
    planes[brighter][0, 0] = 255
    found = without_scale_bars(planes)
    assert (found["red"][80:84, 20:50] == 200).all()


def test_what_is_filled_ends_inside_the_rim() -> None:
    """The box reaches 3 + 4 pixels beyond the bar; its outermost pixels are the rim."""
    plane = with_bars((80, 20))
    rim = [(73, 30), (90, 30), (80, 13), (80, 56)]
    inside = [(74, 30), (89, 30), (80, 14), (80, 55)]
    for place in rim + inside:
        plane[place] = 50
    found = filled(plane)
    assert [found[place] for place in rim] == [50] * 4
    assert [found[place] for place in inside] == [20] * 4


def test_a_bar_beside_the_corner_is_filled() -> None:
    assert (filled(with_bars((1, 1), (145, 199))) == 20).all()


def test_spill_is_the_ratio_below_which_a_tenth_lies() -> None:
    other = np.full(SHAPE_HW, 200, np.float32)
    ratio = np.linspace(0.05, 0.95, SHAPE_HW[1], dtype=np.float32)[None, :]
    clean = without_spill(ratio * other, {"red": other})
    assert clean is not None
    expected = 200 * (ratio[0, 100] - 0.14)  # a tenth of the way from 0.05 to 0.95
    assert clean[75, 100] == pytest.approx(expected, abs=0.5)


def test_few_very_bright_pixels_do_not_make_spill() -> None:
    other = np.where(disc((60, 100), 50), 200, 0).astype(np.float32)
    other[55:60, 95:100] = 6000  # less than a hundredth of the picture
    nuclei = np.where(disc((60, 130), 12), 400, 0).astype(np.float32)
    assert without_spill(nuclei + 0.1 * other, {"red": other}) is not None


def test_a_large_picture_is_looked_at_smaller() -> None:
    shape_hw = (700, 2 * LOOK)
    other = np.where(disc((350, 640), 300, shape_hw), 200, 0).astype(np.float32)
    nuclei = np.where(disc((350, 640), 60, shape_hw), 400, 0).astype(np.float32)
    clean = without_spill(nuclei + 0.1 * other, {"red": other})
    assert clean is not None
    assert clean.shape == shape_hw
    assert clean[350, 480] == pytest.approx(0, abs=0.2)
    assert clean[350, 640] == pytest.approx(400, abs=0.2)


def test_the_spill_of_each_stain_is_taken_off() -> None:
    left, right = (np.where(disc((75, x), 50), 200, 0).astype(np.float32) for x in (60, 170))
    nuclei = np.where(disc((75, 60), 12), 400, 0).astype(np.float32)
    clean = without_spill(nuclei + 0.1 * left + 0.2 * right, {"red": left, "yellow": right})
    assert clean is not None
    assert clean[75, 30] == pytest.approx(0, abs=0.3)
    assert clean[75, 170] == pytest.approx(0, abs=0.3)
    assert clean[75, 60] == pytest.approx(400, abs=0.3)


def test_a_faint_stain_without_others_beside_it_is_kept() -> None:
    nuclei = np.where(disc((60, 130), 12), 0.02, 0).astype(np.float32)
    clean = without_spill(nuclei, {"red": np.zeros(SHAPE_HW, np.float32)})
    assert clean is not None
    np.testing.assert_array_equal(clean, nuclei)
