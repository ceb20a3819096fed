"""Each step from a DNA stain to nuclei, against values made by hand."""

import cv2
import numpy as np
import pytest
from hand_made_planes import DIAMETER, SHAPE_HW, TYPICAL_AREA, disc

from hpa_mmdet.segment.component_tree import LEVELS, Part, best_parts, blob_score, build_tree
from hpa_mmdet.segment.debris import _sd_inside, _typical
from hpa_mmdet.segment.filters import (
    blur,
    distance_outside_of,
    distance_to_outside,
    enlarge_labels,
    resize,
    slope,
)
from hpa_mmdet.segment.nuclei import (
    _range_of_interest,
    _to_half_height,
    find_nuclei,
    over_background,
)
from hpa_mmdet.segment.outlines import drop_small, smooth_outlines
from hpa_mmdet.segment.per_label import median_per_label
from hpa_mmdet.segment.shape_split import _contacts, _join, _rename, solidity, split_by_shape


def part(
    area: float = TYPICAL_AREA,
    solidity: float = 1.0,
    sharpness: float = 4.0,
    at_border: bool = False,
    mass: float = 1.0,
    is_root: bool = True,
    inner: tuple[int, ...] = (),
) -> Part:
    contour = np.zeros((1, 1, 2), np.int32)
    return Part(
        contour, area, mass, solidity, sharpness, at_border, is_root=is_root, inner=list(inner)
    )


def tree(bright: np.ndarray, lowest: float, highest: float, diameter: float) -> list[Part]:
    return build_tree(bright, np.geomspace(lowest, highest, LEVELS), diameter)


@pytest.mark.parametrize(
    ("blob", "score"),
    [
        pytest.param(part(), 1.0, id="perfect"),
        pytest.param(part(sharpness=2.0), 0.5, id="half as sharp"),
        pytest.param(part(sharpness=40.0), 1.0, id="sharper counts no more"),
        pytest.param(part(solidity=0.5), 1 / 16, id="solidity to the fourth"),
        pytest.param(part(TYPICAL_AREA * np.e), np.exp(-0.5 / 1.1**2), id="too large"),
        pytest.param(part(TYPICAL_AREA / np.e), np.exp(-0.5 / 1.1**2), id="too small"),
        pytest.param(part(TYPICAL_AREA / 2, at_border=True), 1.0, id="half at the border"),
        pytest.param(
            part(TYPICAL_AREA / 4, at_border=True),
            np.exp(-0.5 * (np.log(2) / 1.1) ** 2),
            id="quarter at the border",
        ),
        pytest.param(
            part(TYPICAL_AREA * np.e, at_border=True),
            np.exp(-0.5 / 1.1**2),
            id="too large at the border",
        ),
    ],
)
def test_blobs_are_scored_by_edge_shape_and_size(blob: Part, score: float) -> None:
    assert blob_score(blob, DIAMETER) == pytest.approx(score)


def test_the_best_disjoint_parts_are_chosen() -> None:
    # a halo (0.5) with a core (0.9) of 36 % of its mass: 0.9 * 0.6 beats it
    halo = [part(sharpness=2.0, mass=100, inner=(1,)), part(sharpness=3.6, mass=36, is_root=False)]
    assert best_parts(halo, DIAMETER, 0.1) == [halo[1]]
    # with 25 % of the mass it does not
    halo[1].mass = 25
    assert best_parts(halo, DIAMETER, 0.1) == [halo[0]]
    # two nuclei (1.0 and 0.2, the first three times as heavy) weigh 0.8 together
    pair = [
        part(sharpness=3.1, mass=40, inner=(1, 2)),
        part(mass=30, is_root=False),
        part(sharpness=0.8, mass=10, is_root=False),
    ]
    assert best_parts(pair, DIAMETER, 0.1) == pair[1:]
    assert best_parts(pair, DIAMETER, 0.3) == pair[1:2]  # the fainter one is left out then
    pair[0].sharpness = 3.3
    assert best_parts(pair, DIAMETER, 0.1) == pair[:1]
    # what is inside the inner ones counts too
    deep = [
        part(sharpness=1.0, mass=10, inner=(1,)),
        part(sharpness=2.0, mass=10, is_root=False, inner=(2,)),
        part(sharpness=4.0, mass=10, is_root=False),
    ]
    other = part()
    assert best_parts([*deep, other], DIAMETER, 0.5) == [deep[2], other]
    assert best_parts([], DIAMETER, 0.1) == []


def part_of_disc() -> Part:
    """The part that the edge of a blurred disc bounds at half height."""
    bright = np.full(SHAPE_HW, 1.0, np.float32)
    bright[disc((60, 60), 15)] = 51.0
    return tree(blur(bright, 1.0), 26.0, 26.5, 30)[0]


def test_the_tree_measures_its_parts() -> None:
    bright = np.zeros(SHAPE_HW, np.float32)
    bright[disc((60, 60), 15) | disc((60, 95), 15)] = 100
    bright[56:65, 60:95] = np.maximum(bright[56:65, 60:95], 30)
    parts = tree(blur(bright, 1.0), 5, 90, 30)
    assert [item.is_root for item in parts] == [True] + [False] * (len(parts) - 1)
    [forked] = [item for item in parts if len(item.inner) == 2]
    assert all(parts[at].area == pytest.approx(np.pi * 15**2, rel=0.1) for at in forked.inner)
    # every part but the root lies in one part of the level below
    assert sorted(at for item in parts for at in item.inner) == list(range(1, len(parts)))
    root, last = parts[0], parts[-1]
    soft = blur(bright, 1.0)
    assert root.area == pytest.approx((soft > 5).sum(), rel=0.04)
    assert root.mass == pytest.approx(bright.sum(), rel=0.05)
    assert root.solidity < 0.9 < 0.95 < last.solidity <= 1
    # sharpness is in blob diameters, and does not depend on the gain
    brighter = tree(10 * soft, 50, 900, 30)
    assert [item.sharpness for item in brighter] == pytest.approx(
        [item.sharpness for item in parts], rel=1e-3
    )
    wider = tree(soft, 5, 90, 36)
    assert wider[0].sharpness == pytest.approx(parts[0].sharpness * 1.2, rel=1e-3)
    # a step that is blurred by a pixel rises by a third of its height in a pixel
    assert part_of_disc().sharpness == pytest.approx(30 / 3, rel=0.05)


def test_the_area_of_a_part_is_that_of_its_pixels() -> None:
    bright = np.zeros(SHAPE_HW, np.float32)
    bright[40:61, 50:81] = 100
    areas = [item.area for item in tree(bright, 5, 90, 30)]
    # the brush takes two pixels of each corner, and Pick's formula lacks its last pixel
    assert areas == [21 * 31 - 8 - 1] * len(areas)


def test_parts_far_from_the_typical_size_are_not_looked_at() -> None:
    bright = np.zeros(SHAPE_HW, np.float32)
    bright[disc((60, 60), 20)] = 100
    area = np.pi * 20**2
    for diameter_of_area, count in ((area / 6, True), (area / 12, False), (20.5 * area, False)):
        found = tree(bright, 5, 90, 2 * np.sqrt(diameter_of_area / np.pi))
        assert bool(found) == count
    assert tree(bright, 5, 90, 2 * np.sqrt(16 * area / np.pi))


@pytest.mark.parametrize(
    ("centre", "at_border"),
    [((60, 8), True), ((8, 60), True), ((112, 60), True), ((60, 192), True), ((60, 60), False)],
)
def test_parts_know_that_the_border_cuts_them(centre: tuple[int, int], at_border: bool) -> None:
    bright = np.zeros(SHAPE_HW, np.float32)
    bright[disc(centre, 15)] = 100
    assert {item.at_border for item in tree(bright, 5, 90, 30)} == {at_border}


def test_weighted_medians_and_spreads_by_hand() -> None:
    values, weights = np.array([9.0, 1.0, 5.0]), np.array([1.0, 1.0, 1.0])
    assert _typical(values, weights) == 5
    assert _typical(values, np.array([5.0, 1.0, 1.0])) == 9
    assert _typical(values, np.array([1.0, 5.0, 1.0])) == 1
    labels = np.array([[2, 2, 2, 2, 0, 5, 5]], np.int32)
    bright = np.array([[1, 3, 5, 7, 99, 4, 4]], np.float32)
    spread = _sd_inside(bright, labels, np.array([2, 5], np.int32))
    assert spread == pytest.approx([np.std([1, 3, 5, 7]), 0])
    found = median_per_label(bright, labels, np.array([1, 2, 5]))
    assert found.tolist() == [0, 5, 4]  # the upper of the two in the middle
    three = median_per_label(bright[:, :3], labels[:, :3], np.array([2]))
    assert three.tolist() == [3]


def test_solidity_of_shapes_by_hand() -> None:
    assert solidity(np.pad(np.ones((10, 20), bool), 3)) == pytest.approx(1.0)
    corner = np.zeros((40, 40), bool)
    corner[5:35, 5:15] = corner[25:35, 5:35] = True
    # its hull through the pixels' centres, and half of the outline and one more (Pick)
    hull, outline = 29**2 - 20 * 20 / 2, 29 * 2 + 9 * 2 + 20 * np.sqrt(2)
    assert solidity(corner) == pytest.approx(500 / (hull + outline / 2 + 1), rel=1e-4)
    assert solidity(disc((30, 30), 20, (60, 60))) > 0.97


@pytest.mark.parametrize(("distance", "pieces"), [(16, 1), (20, 1), (24, 2), (30, 2)])
def test_touching_discs_are_cut_where_the_neck_is_narrow(distance: int, pieces: int) -> None:
    pair = disc((60, 60), 18) | disc((60, 60 + distance), 18)
    found = split_by_shape(pair, DIAMETER)
    assert len(np.unique(found)) - 1 == pieces
    np.testing.assert_array_equal(found > 0, pair)
    if pieces == 2:
        edge = 60 + distance // 2
        assert len(np.unique(found[:, : edge - 1])) == len(np.unique(found[:, edge + 2 :])) == 2


def test_pieces_are_joined_widest_contact_first() -> None:
    pieces = np.array([[1, 1, 2, 2, 3, 3]] * 3, np.int32)
    inside = np.array([[1, 4, 3, 1, 2, 5]] * 3, np.float32)
    contacts = _contacts(pieces, inside)
    assert contacts == {(1, 2): 3.0, (2, 3): 2.0}  # of the right or lower pixel of each pair
    assert _contacts(pieces.T, inside.T) == contacts
    assert _rename({(1, 2): 4.0, (2, 3): 1.0, (1, 3): 2.0}, gone=2, kept=1) == {(1, 3): 2.0}
    assert _rename({(1, 3): 1.0, (2, 3): 2.0}, gone=3, kept=1) == {(1, 2): 2.0}

    def joined(radius: dict[int, float], least_area: float) -> int:
        return len(np.unique(_join(pieces.copy(), inside, radius, least_area)))

    assert joined({1: 6.0, 2: 6.0, 3: 6.0}, 0) == 3  # necks of 0.5 and 0.33
    assert joined({1: 6.0, 2: 3.7, 3: 6.0}, 0) == 2  # 3 / 3.7 is no neck
    assert joined({1: 6.0, 2: 3.8, 3: 6.0}, 0) == 3  # 3 / 3.8 is one
    assert joined({1: 6.0, 2: 6.0, 3: 2.4}, 0) == 2  # 2 / 2.4 is no neck, and 3 / 6 is one
    assert joined({1: 6.0, 2: 2.0, 3: 9.0}, 0) == 2  # the joined piece has the larger radius
    assert joined({1: 6.0, 2: 6.0, 3: 6.0}, 6) == 3
    assert joined({1: 6.0, 2: 6.0, 3: 6.0}, 6.5) == 1  # each has 6 pixels


def test_the_range_of_brightness_is_above_the_noise() -> None:
    noise = np.abs(np.random.default_rng(0).normal(0, 1, (100, 100))).astype(np.float32)
    noise[40:60, 40:60] = 200
    rough = np.abs(noise - cv2.GaussianBlur(noise, (0, 0), 2.0))
    deviation = 1.4826 * np.median(rough[noise <= np.median(noise)])
    lowest, highest = _range_of_interest(noise)
    assert lowest == pytest.approx(max(5 * deviation, 0.02 * 200), rel=1e-5)
    assert highest == pytest.approx(0.8 * 200)
    noisy = _range_of_interest((4 * noise).clip(max=200))
    assert noisy[0] == pytest.approx(20 * deviation, rel=0.02)
    assert _range_of_interest((20 * noise).clip(max=200))[0] == pytest.approx(0.15 * 200)
    assert _range_of_interest(np.zeros((10, 13), np.float32)) == (1e-3, 0)
    few_bright = np.zeros((100, 100), np.float32)
    few_bright[40:60, 40:60] = 200
    few_bright[10, :20] = 1000  # a five hundredth: for the highest threshold, not for the lowest
    assert _range_of_interest(few_bright) == pytest.approx((0.02 * 200, 0.8 * 1000))
    assert not find_nuclei(np.full((40, 50), 7.0, np.float32), 20).any()


def test_the_local_background_is_taken_off() -> None:
    step = np.where(np.arange(200) < 100, 7.0, 27.0) * np.ones((120, 1))
    plane = step.astype(np.float32)
    plane[50:70, 30:50] += 100
    over = over_background(plane, 20)
    assert over[60, 40] == pytest.approx(100, abs=3)
    assert np.abs(over[:, :20]).max() < 1
    assert np.abs(over[:, 180:]).max() < 1


def test_the_local_background_rises_softly_where_the_light_steps() -> None:
    plane = np.where(np.arange(200) < 100, 0.0, 100.0) * np.ones((120, 1))
    ground = (plane - over_background(plane.astype(np.float32), DIAMETER))[60]
    assert 5 < np.diff(ground[::10]).max() < 15  # not the step of 100 that the percentile makes
    assert ground[0] == pytest.approx(0, abs=1)


def test_nuclei_of_ten_pixels_are_found_at_their_size() -> None:
    nuclei = disc((30, 30), 5) | disc((30, 43), 5)
    found = find_nuclei(np.where(nuclei, 100, 0).astype(np.float32), 10.0)
    assert found.max() == 2
    assert np.count_nonzero(found) == pytest.approx(np.count_nonzero(nuclei), rel=0.08)


@pytest.mark.parametrize("light", [0.0, 60.0])
def test_outlines_move_to_half_the_height_over_what_lies_around(light: float) -> None:
    bright = np.zeros(SHAPE_HW, np.float32)
    for radius, level in ((28, light), (20, light + 45), (17, light + 55), (15, light + 100)):
        bright[disc((60, 60), radius)] = level
    # the ring from 15 + DIAMETER / 12 on has mostly the level of the light
    grown = _to_half_height(disc((60, 60), 15).astype(np.int32), bright, DIAMETER)
    np.testing.assert_array_equal(grown > 0, disc((60, 60), 17))
    assert not _to_half_height(np.zeros(SHAPE_HW, np.int32), bright, DIAMETER).any()


def test_filters_by_hand() -> None:
    assert slope(np.tile(np.arange(60, dtype=np.float32) * 3, (40, 1)))[20, 30] == 3
    assert slope(np.tile(np.arange(60, dtype=np.float32) * 3, (40, 1)).T.copy())[30, 20] == 3
    inside = distance_to_outside(np.ones((9, 13), bool))
    assert (inside[0, 0], inside[4, 6]) == (1, 5)
    labels = np.zeros((9, 13), np.int32)
    labels[4, 6] = 3
    outside = distance_outside_of(labels)
    assert (outside[4, 6], outside[4, 10], outside[0, 6]) == (0, 4, 4)
    assert resize(np.ones((10, 31), np.float32), 0.5).shape == (5, 16)
    assert resize(np.ones((10, 31), np.float32), 0.01).shape == (1, 1)
    ramp = np.tile(np.arange(40, dtype=np.float32), (20, 1))
    np.testing.assert_allclose(resize(ramp, 0.5), np.tile(np.arange(20) * 2 + 0.5, (10, 1)))
    assert resize(ramp, 1.0) is ramp


def test_enlarged_labels_keep_centre_area_and_the_border() -> None:
    small = np.zeros((30, 46), np.int32)
    small[0:10, 0:12], small[12:22, 20:36], small[12:22, 36:40] = 4, 2, 9
    large = enlarge_labels(small, (90, 184))
    assert np.unique(large).tolist() == [0, 2, 4, 9]
    for label, (y, x) in {4: (4.5, 5.5), 2: (16.5, 27.5), 9: (16.5, 37.5)}.items():
        at_y, at_x = np.nonzero(large == label)
        assert len(at_y) == pytest.approx((small == label).sum() * 12, rel=0.05)
        assert at_y.mean() == pytest.approx((y + 0.5) * 3 - 0.5, abs=0.3)
        assert at_x.mean() == pytest.approx((x + 0.5) * 4 - 0.5, abs=0.6)
    assert (large[:27, :44] == 4).all()  # up to the corner
    between = large[45:60, 130:160]
    assert (between > 0).all()  # no gap where two touch


def test_outlines_are_tidied_by_the_brush() -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[5:35, 5:35] = 4
    labels[20:23, 35:50] = 4  # a spur of three pixels
    labels[2:4, 50:58] = 4  # a second piece
    assert not smooth_outlines(labels)[:, 38:].any()
    assert smooth_outlines(labels, 3)[21, 45] == 4
    assert not smooth_outlines(labels, 3)[:4].any()
    cut = np.zeros((40, 60), np.int32)
    cut[:20, :20] = 7
    np.testing.assert_array_equal(smooth_outlines(cut)[:18, :18], 7)  # nothing lost at the border
    thin = np.zeros((40, 60), np.int32)
    thin[10, 5:50] = 3
    assert not smooth_outlines(thin).any()
    assert np.bincount(drop_small(labels, 961).ravel())[4:].tolist() == [961]
    assert not drop_small(labels, 962).any()
