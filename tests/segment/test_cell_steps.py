"""Each step from nuclei to cells, and what goes around it, against values made by hand."""

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment import HpaCellSegmenter, NucleusSize, Segmentation, WatershedSegmenter
from hpa_mmdet.segment.cells import (
    _at_full_size,
    _body,
    _find_ways,
    _price,
    _round_off,
    grow_cells,
)
from hpa_mmdet.segment.filters import Plane
from hpa_mmdet.segment.hpacellseg import _as_uint8
from hpa_mmdet.segment.labelling import label_cells
from hpa_mmdet.segment.pairing import pair_by_overlap
from hpa_mmdet.segment.pictures import PICTURE_LONGEST_PX, draw_outlines, write_picture_sheet
from hpa_mmdet.segment.protocol import keep_cells, need_planes

SHAPE_HW = (80, 140)


def disc(centre_yx: tuple[float, float], radius: float, shape_hw: tuple[int, int] = SHAPE_HW):
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) < radius


def one_nucleus(radius: float = 10) -> np.ndarray:
    return disc((40, 70), radius).astype(np.int32)


def box(y: slice, x: slice, inside: float = 100.0, outside: float = 2.0) -> Plane:
    plane = np.full(SHAPE_HW, outside, np.float32)
    plane[y, x] = inside
    return plane


def test_a_cell_is_what_any_stain_shows() -> None:
    left, right = box(slice(20, 60), slice(30, 85)), box(slice(20, 60), slice(55, 110))
    for stains in ([left, right], [right, left]):
        found = grow_cells(one_nucleus(), stains, 20)
        rows, columns = np.nonzero(found)
        assert (columns.min(), columns.max()) == (
            pytest.approx(30, abs=3),
            pytest.approx(109, abs=3),
        )
        assert (rows.min(), rows.max()) == (pytest.approx(20, abs=3), pytest.approx(59, abs=3))
    alone = np.nonzero(grow_cells(one_nucleus(), [left], 20))[1]
    assert alone.max() == pytest.approx(84, abs=3)


def test_a_nucleus_in_the_dark_is_a_cell_too() -> None:
    nuclei = one_nucleus()
    found = grow_cells(nuclei, [box(slice(0, 20), slice(0, 20), outside=0)], 20)
    np.testing.assert_array_equal(found, nuclei)


@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (40, 0), (1, 300), (0.01, 5)])
def test_neither_gain_nor_offset_of_a_stain_matter(gain: float, offset: float) -> None:
    plane = box(slice(20, 60), slice(30, 85)) * gain + offset
    expected = grow_cells(one_nucleus(), [box(slice(20, 60), slice(30, 85))], 20)
    np.testing.assert_array_equal(
        grow_cells(one_nucleus(), [plane.astype(np.float32)], 20), expected
    )


def test_brightness_is_in_units_of_that_beside_a_nucleus() -> None:
    beside = disc((40, 70), 14) & ~disc((40, 70), 10)
    plane = box(slice(0, 80), slice(40, 110), inside=54, outside=4)
    plane[:, 90:110] = 104
    body = _body([plane], beside)
    assert body[40, 5] == pytest.approx(0, abs=1e-6)
    assert body[40, 70] == pytest.approx(1, abs=1e-3)
    assert body[40, 100] == pytest.approx(2, abs=1e-2)
    # each stain counts alike, however bright
    both = _body([plane, box(slice(0, 80), slice(40, 110), inside=5004, outside=4)], beside)
    assert both[40, 100] == pytest.approx(1.5, abs=1e-2)
    mixed = np.where(np.arange(140) < 70, 50.0, 100.0) * np.ones((80, 1))
    mixed[:, :20] = 0
    assert _body([mixed.astype(np.float32)], beside)[40, 130] == pytest.approx(1, abs=0.02)
    assert not _body([np.full(SHAPE_HW, 7, np.float32)], np.zeros(SHAPE_HW, bool)).any()


def test_the_price_of_a_way_by_hand() -> None:
    flat = np.ones(SHAPE_HW, np.float32)
    everywhere = np.ones(SHAPE_HW, bool)
    assert _price(flat, everywhere, 20)[40, 70] == pytest.approx(1 + 3 / 1.1**3)
    # brightness counts against the root of that around: 4 / 2
    assert _price(4 * flat, everywhere, 20)[40, 70] == pytest.approx(1 + 3 / 2.1**3)
    assert _price(0 * flat, everywhere, 20)[40, 70] == pytest.approx(1 + 60)
    # only what is allowed counts as around
    half = np.arange(140)[None] >= 70
    assert _price(np.where(half, flat, 0).astype(np.float32), half & everywhere, 20)[40, 110] == (
        pytest.approx(1 + 3 / 1.1**3, rel=1e-3)
    )
    rise = np.tile(np.exp(0.1 * np.arange(140)).astype(np.float32), (80, 1))
    steep = _price(1e4 * rise, everywhere, 20)[40, 70]
    assert steep == pytest.approx(1 + 2 * 0.1 * 20, rel=0.02)


def test_ways_cost_what_they_cross() -> None:
    price = np.ones(SHAPE_HW, np.float32)
    price[:, 90:100] = 5
    nuclei = np.zeros(SHAPE_HW, np.int32)
    nuclei[:, 20:40] = 1
    allowed = np.ones(SHAPE_HW, bool)
    allowed[:, 120:] = False
    ways = _find_ways(price, nuclei, allowed)
    costs = _at_full_size(ways.costs, nuclei)
    assert not costs[nuclei > 0].any()
    assert costs[40, 79] == pytest.approx((79 - 39) / 2, abs=1.5)  # on a grid of half the size
    assert costs[40, 110] - costs[40, 80] == pytest.approx(10 + 5 * 5, abs=2)
    assert costs[40, 130] == pytest.approx(costs[allowed].max(), abs=0.5)
    assert ways.prices[20, 65] == -1
    nothing = np.zeros(SHAPE_HW, np.int32)
    far = _at_full_size(_find_ways(price, nothing, allowed).costs, nothing)
    assert far.shape == SHAPE_HW


def test_a_dim_rim_ends_at_a_share_of_the_cells_own_brightness() -> None:
    def area(rim: float) -> int:
        plane = box(slice(10, 70), slice(30, 110), inside=rim, outside=0)
        plane[25:55, 50:90] = 100
        return int((grow_cells(one_nucleus(), [plane], 20) > 0).sum())

    assert area(6) == pytest.approx(34 * 44, rel=0.05)  # below a tenth
    assert area(40) == pytest.approx(60 * 80, rel=0.06)  # above a quarter
    assert area(4) == pytest.approx(area(0), abs=8)


def test_cells_are_rounded_off_around_their_nucleus() -> None:
    cells, nuclei = np.zeros(SHAPE_HW, np.int32), np.zeros(SHAPE_HW, np.int32)
    nuclei[30:40, 30:40], nuclei[30:40, 100:110], nuclei[35, 60] = 1, 3, 4
    cells[20:50, 20:50] = 1
    cells[34:36, 50:58] = 1  # a spur
    cells[42:45, 27:30] = 0  # a hole
    cells[40:44, 40:44] = 3  # a hole that another cell fills
    cells[0:10, 60:70] = 1  # a part far from the nucleus
    cells[20:60, 90:140] = 3
    cells[33:38, 58:63] = 4  # no more than the brush
    found = _round_off(cells, nuclei)
    assert (found[42:45, 27:30] == 1).all()
    assert not found[:, 50:57].any()
    assert not found[:12].any()
    assert (found[40:44, 40:44] != 1).all()
    assert (found[22:58, 139] == 3).all()  # not rounded off where the border cuts it
    assert found[20, 90] == 0
    assert found[35, 60] == 4
    assert np.unique(found).tolist() == [0, 1, 3, 4]
    # the nucleus stays, however thin it is
    line = np.zeros(SHAPE_HW, np.int32)
    line[40, 40:60] = 2
    np.testing.assert_array_equal(_round_off(line, line), line)


def test_nuclei_are_paired_with_the_cell_that_holds_most_of_them() -> None:
    cells = np.array([[5, 5, 5, 0, 0, 0, 8, 8]])
    half = pair_by_overlap(np.array([[0, 3, 3, 3, 3, 0, 0, 0]]), cells)
    assert not half.nuclei.any()
    most = pair_by_overlap(np.array([[3, 3, 3, 3, 3, 0, 0, 0]]), cells)
    assert most.nuclei.tolist() == [[1, 1, 1, 0, 0, 0, 0, 0]]
    two = pair_by_overlap(np.array([[1, 0, 2, 0, 0, 0, 7, 0]]), cells)
    assert two.nuclei.tolist() == [[1, 0, 1, 0, 0, 0, 2, 0]]
    assert two.cells.tolist() == [[1, 1, 1, 0, 0, 0, 2, 2]]


def test_kept_cells_are_counted_anew_in_their_order() -> None:
    cells, nuclei = np.array([[0, 2, 5, 9]]), np.array([[0, 0, 5, 9]])
    kept = keep_cells(Segmentation(nuclei, cells), np.array([0, 2, 9]))
    assert kept.cells.tolist() == [[0, 1, 0, 2]]
    assert kept.nuclei.tolist() == [[0, 0, 0, 2]]
    none = keep_cells(Segmentation(nuclei, cells), np.array([], int))
    assert not none.cells.any()


def bands(inside: np.ndarray, border: np.ndarray | None = None) -> np.ndarray:
    found = np.zeros((*SHAPE_HW, 3), np.uint8)
    found[..., 2] = np.round(255 * inside)
    found[..., 1] = 0 if border is None else np.round(255 * border)
    return found


@pytest.mark.parametrize(
    ("nucleus", "cell", "count"),
    [
        pytest.param((1.0, 15.0), (1.0, 28.0), 1, id="clear"),
        pytest.param((0.45, 15.0), (1.0, 28.0), 1, id="faint nucleus"),
        pytest.param((0.35, 15.0), (1.0, 28.0), 0, id="too faint a nucleus"),
        pytest.param((1.0, 7.5), (1.0, 28.0), 1, id="small nucleus"),
        pytest.param((1.0, 6.5), (1.0, 28.0), 0, id="too small a nucleus"),
        pytest.param((1.0, 9.0), (1.0, 11.0), 1, id="small cell"),
        pytest.param((1.0, 9.0), (1.0, 9.8), 0, id="too small a cell"),
        pytest.param((1.0, 15.0), (0.27, 28.0), 1, id="faint cell"),
        pytest.param((1.0, 15.0), (0.2, 28.0), 0, id="too faint a cell"),
    ],
)
def test_predictions_count_from_their_least_probability_and_area(
    nucleus: tuple[float, float], cell: tuple[float, float], count: int
) -> None:
    level, radius = nucleus
    of_nuclei = bands(np.where(disc((40, 70), radius), level, 0))
    level, radius = cell
    found = label_cells(of_nuclei, bands(np.where(disc((40, 70), radius), level, 0)))
    assert found.cells.max() == found.nuclei.max() == count
    if count:
        assert (found.cells > 0).sum() == pytest.approx(np.pi * radius**2, rel=0.05)


def test_a_border_parts_cells_and_is_then_shared_out() -> None:
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    body = (y > 10) & (y < 70) & (x > 10) & (x < 130)
    border = body & (abs(x - 70) < 3)
    nuclei = disc((40, 40), 12) | disc((40, 100), 12)
    found = label_cells(
        bands(nuclei), bands(np.where(border, 0.3, 1.0) * body, np.where(border, 0.6, 0))
    )
    assert found.cells.max() == 2
    assert (found.cells[15:65, 15:126] > 0).all()
    assert (np.bincount(found.cells[body])[1:] / body.sum()) == pytest.approx([0.5, 0.5], abs=0.04)
    # the border of the nuclei parts two that touch
    nuclei = disc((40, 60), 12) | disc((40, 80), 12)
    line = nuclei & (abs(x - 70) < 2)
    apart = label_cells(bands(nuclei & ~line, line * 0.2), bands(body))
    assert apart.cells.max() == 2
    assert label_cells(bands(nuclei), bands(body)).cells.max() == 1


@pytest.mark.parametrize(("bridge", "count"), [(0.2, 1), (0.1, 2)])
def test_nuclei_that_a_faint_bridge_joins_are_one(bridge: float, count: int) -> None:
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    inside = np.where((abs(y - 40) < 4) & (x > 45) & (x < 95), bridge, 0.0)
    inside[disc((40, 45), 12) | disc((40, 95), 12)] = 1
    body = np.ones(SHAPE_HW)
    body[:4] = 0
    assert label_cells(bands(inside), bands(body)).cells.max() == count


def test_sizes_in_micrometres_and_their_bounds() -> None:
    plane = np.full((300, 420), 10.0, np.float32)
    for y in (75, 225):
        for x in (70, 210, 350):
            plane[disc((y, x), 30, (300, 420))] = 100
    free = NucleusSize().in_pixels(plane)
    assert free == pytest.approx(60, rel=0.06)
    assert NucleusSize(pixel_um=0.2).in_pixels(plane) == free
    assert NucleusSize(pixel_um=1.0).in_pixels(plane) == 40
    assert NucleusSize(pixel_um=0.05).in_pixels(plane) == 100
    assert NucleusSize(diameter_um=12, pixel_um=0.5).in_pixels(plane) == 24
    assert NucleusSize(diameter_px=33, pixel_um=0.5).in_pixels(plane) == 33
    assert NucleusSize(pixel_um=0.2).in_pixels(np.zeros((40, 50), np.float32)) is None


def test_the_scale_of_the_networks_follows_pixel_or_nuclei() -> None:
    plane = np.full((300, 420), 10, np.uint8)
    for x in (70, 210, 350):
        plane[disc((150, x), 30, (300, 420))] = 100

    def scale(**size: float) -> float:
        segmenter = HpaCellSegmenter("n", "c", NucleusSize(**size))  # type: ignore[arg-type]
        return segmenter._scale_of({"blue": plane, "red": plane})

    assert scale(pixel_um=0.08) == pytest.approx(0.25)
    assert scale(pixel_um=0.32) == pytest.approx(1.0)
    assert scale(pixel_um=100) == 4.0
    assert scale(pixel_um=0.001) == 0.05
    assert scale(diameter_px=96) == pytest.approx(0.5)
    assert scale(diameter_um=9.6, pixel_um=0.1) == pytest.approx(0.5)
    assert scale() == pytest.approx(48 / 60, rel=0.06)
    plane[:] = 0
    assert scale() == 0.25


def test_16_bit_is_stretched_to_the_networks_8() -> None:
    plane = np.zeros((100, 130), np.uint16)
    plane[10:60], plane[0, 0] = 4000, 65535  # one hot pixel does not rule
    found = _as_uint8(plane)
    assert (found.dtype, found[30, 30], found[0, 0], found[90, 90]) == (np.uint8, 255, 255, 0)
    plane[10:20] = 2000
    assert _as_uint8(plane)[15, 30] == 127
    assert not _as_uint8(np.zeros((4, 5), np.uint16)).any()
    eight = np.full((4, 5), 200, np.uint8)
    np.testing.assert_array_equal(_as_uint8(eight), eight)


def test_planes_that_are_missing_are_named() -> None:
    plane = np.zeros((4, 5), np.uint8)
    assert need_planes({"blue": plane, "red": plane}, ("blue",), "x") == (4, 5)
    with pytest.raises(InputError, match="found channels red, expected blue, red among them"):
        need_planes({"red": plane}, ("blue", "red"), "x")
    with pytest.raises(InputError, match="found channels none, expected one among them"):
        need_planes({}, (), "x")
    with pytest.raises(InputError, match=r"found shapes .*expected one \(H, W\)"):
        need_planes({"blue": np.zeros((4, 5, 3))}, ("blue",), "x")


def test_small_nuclei_are_not_enlarged_and_large_ones_are_shrunk() -> None:
    plane = np.full((240, 320), 10, np.uint8)
    for x in (80, 240):
        plane[disc((120, x), 40, (240, 320))] = 120
    red = np.full((240, 320), 5, np.uint8)
    red[40:200, 20:300] = 90
    for size in (NucleusSize(), NucleusSize(diameter_px=80), NucleusSize(diameter_px=60)):
        found = WatershedSegmenter(size)({"blue": plane, "red": red})
        assert found.cells.max() == 2
        assert np.bincount(found.nuclei.ravel())[1:] == pytest.approx([np.pi * 40**2] * 2, rel=0.1)
        assert (found.cells > 0).sum() == pytest.approx(160 * 280, rel=0.1)
        np.testing.assert_array_equal(found.nuclei > 0, (found.nuclei > 0) & (found.cells > 0))


def test_pictures_are_small_stretched_and_coloured() -> None:
    cells = np.zeros((60, 3000), np.int32)
    ramp = np.tile(np.linspace(0, 1000, 3000), (60, 1)).astype(np.uint16)
    picture = draw_outlines({"red": ramp}, Segmentation(cells, cells))
    assert picture.shape == (20, PICTURE_LONGEST_PX, 3)
    assert not picture[..., 1:].any()
    middle = picture[10, 512, 0]
    assert middle == pytest.approx(255 * 0.5**0.6, abs=4)  # from 1 % to 99.8 %, gamma 0.6
    assert (picture[10, 3, 0], picture[10, 1022, 0]) == (0, 255)
    other = draw_outlines({"x": ramp, "blue": ramp}, Segmentation(cells, cells))
    assert other[10, 1022].tolist() == [130, 150, 255]


def test_the_sheet_has_rows_of_fitted_tiles(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from PIL import Image

    paths = [tmp_path / f"{at}.png" for at in range(5)]
    for at, path in enumerate(paths):
        Image.fromarray(np.full((40, 80, 3), 40 * (at + 1), np.uint8)).save(path)
    write_picture_sheet(tmp_path / "sheet.png", paths, columns=3, tile_px=44)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape == (2 * 44, 3 * 44, 3)
    assert [int(sheet[10, 44 * at + 20, 0]) for at in range(3)] == [40, 80, 120]
    assert [int(sheet[54, 44 * at + 20, 0]) for at in range(3)] == [160, 200, 0]
    assert sheet[2, 2, 0] == sheet[21, 41, 0] == 40  # 40 x 20 in the tile, two pixels from its edge
    assert sheet[1, 2, 0] == sheet[2, 1, 0] == sheet[22, 20, 0] == sheet[10, 42, 0] == 0


def test_brightness_is_that_close_beside_the_nucleus() -> None:
    shape_hw = (120, 120)
    nuclei = disc((60, 60), 10, shape_hw).astype(np.int32)
    # bright up to 7 pixels from the nucleus, a third of its diameter, then hardly anything
    plane = np.where(disc((60, 60), 17, shape_hw), 100, 8) * disc((60, 60), 45, shape_hw)
    found = grow_cells(nuclei, [plane.astype(np.float32)], 20)
    assert (found[disc((60, 60), 15, shape_hw)] == 1).all()
    assert not found[~disc((60, 60), 24, shape_hw)].any()
