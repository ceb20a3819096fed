"""The size of nuclei is found whatever the light, and the estimate says where it is unsure."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hpa_mmdet.segment.component_tree import Part, build_tree, choose_disjoint
from hpa_mmdet.segment.filters import Plane, blur
from hpa_mmdet.segment.scale import (
    TYPICAL_PX,
    _distances,
    _Look,
    _look,
    _measure_again,
    _nearer,
    _noise_after_blur,
    _steepest,
    edge_score,
    estimate_nucleus_size,
)

SHAPE_HW = (360, 500)
DIAMETER = 40


def disc(centre_yx: tuple[float, float], radius: float, shape_hw: tuple[int, int] = SHAPE_HW):
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) < radius


def draw(plane: Plane, y: float, x: float, radius: float, level: float) -> None:
    centre = (round(16 * x), round(16 * y))  # in sixteenths of a pixel
    cv2.circle(plane, centre, round(16 * radius), level, cv2.FILLED, shift=4)


def nuclei(diameter: float = DIAMETER, shape_hw: tuple[int, int] = SHAPE_HW) -> Plane:
    """Nuclei of brightness 100 on 10, about one and a half diameters apart, softly bounded."""
    plane = np.full(shape_hw, 10, np.float32)
    pitch = 2.4 * diameter
    for row, y in enumerate(np.arange(0.6 * pitch, shape_hw[0] - 0.4 * pitch, pitch)):
        for x in np.arange((0.6 + 0.3 * (row % 2)) * pitch, shape_hw[1] - 0.4 * pitch, pitch):
            draw(plane, y, x, diameter / 2, 100)
    return blur(plane, max(0.7, diameter / 40))


def dome(centre_yx: tuple[float, float], wide: float, high: float) -> Plane:
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    away = (y - centre_yx[0]) ** 2 + (x - centre_yx[1]) ** 2
    return (high * np.exp(-away / (2 * wide**2))).astype(np.float32)


def with_debris(plane: Plane, radius: float, count: int) -> Plane:
    rng, specks = np.random.default_rng(0), np.zeros(SHAPE_HW, np.float32)
    for _ in range(count):
        draw(specks, *rng.uniform(0, SHAPE_HW), radius, 200)
    return plane + blur(specks, 1.0)


def with_noise(plane: Plane) -> Plane:
    return plane + np.random.default_rng(0).normal(0, 20, plane.shape).astype(np.float32)


def shaded(plane: Plane) -> Plane:
    return plane * np.linspace(1.7, 0.3, plane.shape[1], dtype=np.float32)


def sloped(plane: Plane) -> Plane:
    return plane + np.linspace(0, 250, plane.shape[0], dtype=np.float32)[:, None]


def one_bright(plane: Plane) -> Plane:
    bright = np.where(disc((60, 60), 24), 1500, 0).astype(np.float32)
    return plane + blur(bright, 1.0) + dome((60, 60), 60, 120)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda plane: plane, id="plain"),
        pytest.param(shaded, id="light from a side"),
        pytest.param(sloped, id="slope"),
        pytest.param(lambda plane: plane + dome((180, 400), 120, 300), id="halo"),
        pytest.param(lambda plane: plane + dome((0, 0), 90, 900), id="halo in the corner"),
        pytest.param(one_bright, id="one as bright as fifteen"),
        pytest.param(lambda plane: with_debris(plane, 2.5, 150), id="debris"),
        pytest.param(with_noise, id="noise"),
        pytest.param(lambda plane: blur(plane, 3), id="blur"),
        pytest.param(lambda plane: 200 * plane, id="gain"),
        pytest.param(lambda plane: plane + 4000, id="offset"),
    ],
)
def test_the_size_is_found_in_any_light(change: Callable[[Plane], Plane]) -> None:
    found = estimate_nucleus_size(change(nuclei()).astype(np.float32))
    assert found is not None
    assert found.diameter == pytest.approx(DIAMETER, rel=0.12)
    assert found.blobs >= 8
    assert found.doubt == ""


@pytest.mark.parametrize("diameter", [12, 20, 40, 80, 130])
def test_large_and_small_nuclei_are_measured(diameter: int) -> None:
    found = estimate_nucleus_size(nuclei(diameter))
    assert found is not None
    assert found.diameter == pytest.approx(diameter, rel=0.12)


def test_small_nuclei_of_a_large_picture_are_measured() -> None:
    found = estimate_nucleus_size(nuclei(30, (900, 1400)))
    assert found is not None
    assert found.diameter == pytest.approx(30, rel=0.12)


def test_a_picture_without_nuclei_has_no_size() -> None:
    assert estimate_nucleus_size(np.zeros(SHAPE_HW, np.uint8)) is None
    assert estimate_nucleus_size(np.full((3, 4), 7, np.uint16)) is None
    haze = estimate_nucleus_size(dome((180, 250), 80, 200))
    assert haze is None or haze.doubt == "one nucleus stands out"


def test_one_or_two_nuclei_are_doubted_and_three_are_not() -> None:
    plane = np.full(SHAPE_HW, 10, np.float32)
    plane[disc((100, 120), 30)] = 90
    one = estimate_nucleus_size(blur(plane, 1.0))
    assert one is not None
    assert (one.blobs, one.doubt) == (1, "one nucleus stands out")
    assert one.diameter == pytest.approx(60, rel=0.1)
    plane[disc((200, 320), 30)] = 90
    two = estimate_nucleus_size(blur(plane, 1.0))
    assert two is not None
    assert (two.blobs, two.doubt) == (2, "2 nuclei stand out")
    plane[disc((280, 120), 30)] = 90
    three = estimate_nucleus_size(blur(plane, 1.0))
    assert three is not None
    assert (three.blobs, three.doubt) == (3, "")


def test_two_sizes_that_are_both_clear_are_doubted() -> None:
    plane = np.full((500, 700), 10, np.float32)
    for y in range(50, 500, 65):
        for x in range(30, 330, 40):
            draw(plane, y, x, 10, 100)
    for y, x in ((90, 420), (90, 600), (250, 510), (410, 420), (410, 600)):
        plane[disc((y, x), 62, (500, 700))] = 100
    found = estimate_nucleus_size(blur(plane, 1.0))
    assert found is not None
    assert found.doubt == "two sizes stand out"


def test_a_picture_is_looked_at_from_every_distance_it_is_large_enough_for() -> None:
    assert _distances((512, 1024)) == [2, 4, 8, 16]
    assert _distances((200, 100)) == [200 / 128, 200 / 64]
    assert _distances((64, 20)) == [1]
    assert _distances((40, 30)) == [1]


def test_a_part_is_looked_at_from_nearer_down_to_twice_its_size() -> None:
    assert _nearer((512, 1024)) == [1, 0.5]
    assert _nearer((2048, 2048)) == [2, 1, 0.5]
    assert _nearer((200, 100)) == [200 / 256]


def blob(**changes: float) -> Part:
    """A part with a perfect score at noise 1 and a diameter of 20 pixels."""
    values = {
        "area": np.pi * 100,
        "mass": 1.0,
        "solidity": 1.0,
        "contrast": 60.0,
        "edge": 20.0,
        "weak_edge": 18.0,
        "inside": 20.0,
    } | changes
    contour = np.zeros((1, 1, 2), np.int32)
    slopes = np.array([1, 0.5, 2, 3, 1, 1.5, 2, 2], np.float32) * values.pop("weak_edge")
    return Part(contour, sharpness=1.0, at_border=False, slopes=slopes, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "noise", "score"),
    [
        pytest.param({}, 1.0, 1.0, id="perfect"),
        pytest.param({"weak_edge": 36.0}, 1.0, 1.0, id="sharper counts no more"),
        pytest.param({"weak_edge": 9.0, "inside": 10.0}, 1.0, 0.5, id="half as sharp"),
        pytest.param({"solidity": 0.5}, 1.0, 1 / 64, id="solidity to the sixth"),
        pytest.param({}, 30.0, 0.5, id="twice the noise"),
        pytest.param({"inside": 18 / 0.65}, 1.0, 0.5, id="between dome and plateau"),
        pytest.param({"inside": 18 / 0.4}, 1.0, 0.0, id="dome"),
        pytest.param({"inside": 100.0}, 1.0, 0.0, id="steeper inside"),
        pytest.param({"contrast": 0.0}, 1.0, 0.0, id="nothing"),
    ],
)
def test_nuclei_are_convex_clear_sharp_and_flat(
    changes: dict[str, float], noise: float, score: float
) -> None:
    assert edge_score(blob(**changes), noise) == pytest.approx(score, abs=1e-6)


def look(diameters: list[float], weights: list[float], at_border: list[bool]) -> _Look:
    ones = np.ones(len(weights))
    return _Look(np.array(diameters), np.array(weights), ones, np.array(at_border))


def test_the_typical_size_is_the_median_of_whole_blobs() -> None:
    assert look([30, 10, 20], [1, 1, 1], [False] * 3).typical == 20
    assert look([30, 10, 20], [5, 1, 1], [False] * 3).typical == 30
    assert look([30, 10, 20], [5, 1, 2], [True, False, False]).typical == 20
    assert look([30, 10], [5, 2], [True, False]).typical == 30  # too few are whole
    seen = look([20, 25, 60, 12.5], [2, 4, 10, 1], [False, False, True, False])
    assert seen.typical == 25
    assert seen.alike.tolist() == [True, True, False, False]
    assert seen.evidence == pytest.approx(6 * 2 / 3)


def test_the_noise_is_that_of_pixels_after_the_blur() -> None:
    plane = np.random.default_rng(0).normal(50, 5, (300, 400)).astype(np.float32)
    smooth = blur(plane, 1.0)
    assert _noise_after_blur(plane, smooth) == pytest.approx(smooth.std(), rel=0.15)
    assert _noise_after_blur(plane, plane) == 1e-3


def test_blobs_are_measured_where_their_edge_is_steepest() -> None:
    soft = blur(np.where(disc((180, 250), 20), 100, 0).astype(np.float32), 2.0)
    parts = build_tree(soft, np.geomspace(2, 98, 30), 40)
    assert _steepest(parts, 0).area == pytest.approx(np.pi * 20**2, rel=0.05)
    assert parts[0].area > 1.2 * np.pi * 20**2
    # a part that parts into two smaller ones is measured as it is
    pair = [blob(edge=1.0), blob(area=100.0, edge=5.0), blob(area=120.0, edge=5.0)]
    pair[0].inner = [1, 2]
    assert _steepest(pair, 0) is pair[0]


def test_a_look_sees_a_few_tens_of_its_own_pixels() -> None:
    for diameter, shrink, is_seen in ((20, 1, True), (60, 1, False), (60, 3, True), (20, 4, False)):
        seen = _look(nuclei(diameter), shrink)
        assert (seen is not None) == is_seen
        if seen is not None:
            assert seen.typical == pytest.approx(diameter, rel=0.12)
    assert _look(np.zeros(SHAPE_HW, np.float32), 1.0) is None


def test_slopes_of_a_part_are_taken_along_its_edge_and_inside() -> None:
    plane = np.zeros(SHAPE_HW, np.float32)
    plane[:, :30] = 100
    [part] = build_tree(blur(plane, 1.0), np.array([50.0]), 120)
    assert part.at_border
    # a step of 100 that is blurred by one pixel rises by about a third of it in a pixel
    assert part.edge == pytest.approx(33, rel=0.15)
    assert part.weak_edge == pytest.approx(part.edge, rel=0.1)
    assert part.inside < 5
    assert part.contrast == pytest.approx(47, abs=3)
    plane = np.zeros(SHAPE_HW, np.float32)
    plane[disc((180, 250), 20)] = 100
    plane[:, 250:] = np.where(plane[:, 250:] > 0, 100, 40)  # brighter ground on one side
    [part] = build_tree(blur(plane, 1.0), np.array([60.0]), 40)
    assert part.weak_edge < 0.9 * part.edge


def test_nuclei_that_the_border_cuts_are_not_taken_for_small_ones() -> None:
    plane = np.full((100, 170), 10, np.float32)
    for y, x in ((-5, 30), (-6, 90), (-5, 150), (106, 40), (105, 110)):  # less than half shows
        plane[disc((y, x), 20, (100, 170))] = 90
    found = estimate_nucleus_size(blur(plane, 1.0))
    assert found is not None
    assert found.diameter == pytest.approx(38, rel=0.15)


def test_what_lies_inside_counts_no_more_than_what_it_lies_in() -> None:
    outer, inner = blob(), blob()
    outer.inner, inner.is_root = [1], False
    assert choose_disjoint([outer, inner], [0.5, 0.45], [1.0, 4.0]) == [0]
    assert choose_disjoint([outer, inner], [0.5, 0.55], [1.0, 4.0]) == [1]
    assert choose_disjoint([outer, inner], [0.5, 0.55], [1.0, 0.5]) == [0]


def test_a_blob_weighs_as_its_area_and_votes_as_its_width() -> None:
    plane = np.full(SHAPE_HW, 10, np.float32)
    for y in (100, 260):
        draw(plane, y, 120, 10, 100)
        draw(plane, y, 320, 20, 100)
    look = _look(blur(plane, 1.0), 1.0)
    assert look is not None
    small, large = 0, 3  # they are in the order of their size
    assert look.diameters[large] / look.diameters[small] == pytest.approx(2, rel=0.1)
    assert look.votes[large] / look.votes[small] == pytest.approx(2, rel=0.15)
    assert look.weights[large] / look.weights[small] == pytest.approx(4, rel=0.25)


def seen_once(diameter: float) -> _Look:
    one = np.ones(1)
    return _Look(np.array([diameter]), one, one, np.zeros(1, bool))


@pytest.mark.parametrize(
    ("found", "diameter", "settled"),
    [
        pytest.param([41], 41, True, id="at once"),
        pytest.param([60, 90, 92], 92, True, id="at the third look"),
        pytest.param([60, 90, 130, 131], 130, False, id="not in three looks"),
        pytest.param([60, None], 60, False, id="nothing is seen from there"),
    ],
)
def test_the_size_is_measured_again_until_it_stays(
    monkeypatch: pytest.MonkeyPatch, found: list[float | None], diameter: float, settled: bool
) -> None:
    looks = iter(found)
    shrinks: list[float] = []

    def look(_: Plane, shrink: float) -> _Look | None:
        shrinks.append(shrink)
        size = next(looks)
        return None if size is None else seen_once(size)

    monkeypatch.setattr("hpa_mmdet.segment.scale._look", look)
    measured, is_settled = _measure_again(np.zeros((4, 5), np.float32), seen_once(40))
    assert (measured.typical, is_settled) == (diameter, settled)
    assert shrinks[0] * TYPICAL_PX == pytest.approx(40)
    assert shrinks[1:] == [size / TYPICAL_PX for size in found[: len(shrinks) - 1]]
