"""The steps of the watershed segmenter on small drawn pictures, and what ties ids together."""

import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment import NucleusSize, Segmentation, WatershedSegmenter
from hpa_mmdet.segment.artefacts import without_scale_bars, without_spill
from hpa_mmdet.segment.cells import grow_cells
from hpa_mmdet.segment.compare import count_matches, overlaps
from hpa_mmdet.segment.filters import enlarge_labels
from hpa_mmdet.segment.nuclei import find_nuclei
from hpa_mmdet.segment.outlines import drop_small, smooth_outlines
from hpa_mmdet.segment.pairing import drop_border_cells, pair_by_overlap
from hpa_mmdet.segment.protocol import need_planes
from hpa_mmdet.segment.scale import estimate_nucleus_size
from hpa_mmdet.segment.shape_split import split_by_shape

SHAPE_HW = (150, 230)


def disc(centre_yx: tuple[float, float], radius: float, shape_hw: tuple[int, int] = SHAPE_HW):
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) < radius


def stain(*parts: tuple[np.ndarray, float], noise: float = 1.0) -> np.ndarray:
    plane = np.full(SHAPE_HW, 10.0)
    for mask, level in parts:
        plane[mask] = level
    plane = cv2.GaussianBlur(plane, (0, 0), 1.2)
    return (plane + np.random.default_rng(0).normal(0, noise, SHAPE_HW)).astype(np.float32)


def test_a_very_bright_nucleus_does_not_hide_the_others() -> None:
    truth = [disc((40, 50), 17), disc((100, 60), 17), disc((60, 160), 17)]
    found = find_nuclei(stain((truth[0], 40), (truth[1], 45), (truth[2], 250)), 34)
    reference = sum(mask * k for k, mask in enumerate(truth, start=1))
    assert count_matches(overlaps(reference, found), 0.8) == found.max() == 3


def test_debris_and_blur_are_no_nuclei() -> None:
    nuclei = [disc((40, 50), 17), disc((100, 60), 17), disc((60, 120), 17)]
    plane = stain(*((mask, 120) for mask in nuclei), (disc((110, 150), 5), 240))
    plane += cv2.GaussianBlur(disc((70, 190), 17) * np.float32(60), (0, 0), 9)
    found = find_nuclei(plane.astype(np.float32), 34)
    assert count_matches(overlaps(sum(m * k for k, m in enumerate(nuclei, 1)), found), 0.8) == 3
    assert found.max() == 3


def test_touching_nuclei_are_cut_at_the_neck_and_long_ones_are_not() -> None:
    pair = disc((60, 60), 18) | disc((60, 92), 18)
    pieces = split_by_shape(pair, 36)
    areas = np.bincount(pieces[pieces > 0])
    assert sorted(areas[areas > 0].tolist()) == pytest.approx([pair.sum() / 2] * 2, rel=0.05)
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    long = np.hypot((y - 70) / 14, (x - 100) / 34) < 1
    assert len(np.unique(split_by_shape(long, 36))) == 2


def test_the_diameter_is_estimated_and_none_is_found_in_nothing() -> None:
    plane = stain(*((disc((60, 50 + 60 * k), 20), 90) for k in range(3)))
    assert estimate_nucleus_size(plane).diameter == pytest.approx(40, rel=0.25)
    assert estimate_nucleus_size(np.zeros(SHAPE_HW, np.uint8)) is None


def test_a_slope_of_the_background_is_not_taken_for_a_nucleus() -> None:
    nuclei = [disc((40 + 35 * (k % 2), 50 + 45 * k), 15) for k in range(4)]
    plane = stain(*((mask, 60) for mask in nuclei))
    sloped = plane + np.linspace(0, 60, SHAPE_HW[1], dtype=np.float32)
    assert estimate_nucleus_size(sloped).diameter == pytest.approx(30, rel=0.25)
    found = WatershedSegmenter(nuclei_only=True)({"blue": sloped.astype(np.uint8)}).cells
    reference = sum(mask * k for k, mask in enumerate(nuclei, start=1))
    assert count_matches(overlaps(reference, found), 0.7) == found.max() == 4


def test_each_cell_keeps_its_bright_end() -> None:
    nuclei = np.zeros(SHAPE_HW, np.int32)
    nuclei[disc((75, 40), 16)], nuclei[disc((75, 190), 16)] = 1, 2
    body = np.full(SHAPE_HW, 2.0, np.float32)
    body[50:100, 15:146], body[50:100, 154:215] = 100, 100  # 1 is long, a dark seam, 2 short
    found = grow_cells(nuclei, [body], 32)
    truth = np.zeros(SHAPE_HW, np.int32)
    truth[50:100, 15:152], truth[50:100, 152:215] = 1, 2
    assert count_matches(overlaps(truth, found), 0.85) == 2
    assert not grow_cells(np.zeros(SHAPE_HW, np.int32), [body], 32).any()


def two_cells(
    centres: tuple[int, int], border: int, levels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Grow two nuclei over a band of these brightnesses; give both, and the lower IoU."""
    nuclei, truth = np.zeros(SHAPE_HW, np.int32), np.zeros(SHAPE_HW, np.int32)
    nuclei[disc((75, centres[0]), 16)], nuclei[disc((75, centres[1]), 16)] = 1, 2
    body = np.full(SHAPE_HW, 1.0, np.float32)
    body[50:100, 15 : 15 + len(levels)] = levels
    truth[50:100, 15:border], truth[50:100, border : 15 + len(levels)] = 1, 2
    found = grow_cells(nuclei, [body], 32)
    return truth, found, float(np.sort(overlaps(truth, found).iou)[-2:].min())


def test_cells_part_where_it_is_darkest_not_midway() -> None:
    # no step in brightness, one long dim place, farther from the first nucleus
    levels = 100 * (1 - 0.75 * np.exp(-0.5 * ((np.arange(15, 215) - 150) / 8) ** 2))
    assert two_cells((40, 190), 150, levels)[2] > 0.86  # 0.74 where WAY_POWER is 0


def test_a_dim_cell_keeps_its_part_beside_a_bright_one() -> None:
    levels = np.where(np.arange(15, 190) < 120, 100.0, 50.0)
    # 0.862 where EDGE_COST is 0, 0.872 where EVENNESS is 0
    assert two_cells((95, 145), 120, levels)[2] > 0.876


def test_a_line_along_the_picture_s_border_is_no_part_of_a_cell() -> None:
    nuclei, body = np.zeros(SHAPE_HW, np.int32), np.full(SHAPE_HW, 2.0, np.float32)
    nuclei[disc((75, 40), 16)], nuclei[disc((75, 190), 16)] = 1, 2
    body[50:100, :70] = body[50:100, 160:] = body[0] = body[:, 0] = 100
    found = grow_cells(nuclei, [body], 32)
    assert not found[:40].any()
    # a cell that the border cuts is not rounded off there
    assert (found[:, -1] == 2).sum() == (found[:, 200] == 2).sum() > 45


def test_a_scale_bar_is_filled_and_a_bright_blob_is_not() -> None:
    plane = np.full(SHAPE_HW, 20, np.float32)
    plane[disc((60, 60), 12)] = 255
    with_bar = plane.copy()
    with_bar[130:134, 180:220] = 255
    filled = without_scale_bars({"red": with_bar, "blue": with_bar.copy()})
    np.testing.assert_array_equal(filled["red"], plane)
    np.testing.assert_array_equal(without_scale_bars({"blue": with_bar})["blue"], with_bar)


def test_spill_is_taken_off_and_spill_alone_is_no_stain() -> None:
    red = stain((disc((75, 115), 60), 200), noise=0)
    dna = stain((disc((75, 115), 20), 150), noise=0)
    clean = without_spill(dna + 0.1 * red, {"red": red})
    assert clean is not None
    assert clean[75, 165] < 3 < 100 < clean[75, 115]
    assert without_spill(0.1 * red, {"red": red}) is None


def test_enlarged_labels_are_smooth_and_stay_in_place() -> None:
    small = np.zeros((30, 46), np.int32)
    small[disc((14, 15), 9, (30, 46))], small[disc((14, 30), 6, (30, 46))] = 7, 3
    large = enlarge_labels(small, (150, 230))
    truth = np.zeros((150, 230), np.int32)
    truth[disc((72, 77), 45)], truth[disc((72, 152), 30)] = 7, 3
    assert count_matches(overlaps(truth, large), 0.9) == 2
    np.testing.assert_array_equal(enlarge_labels(small, (30, 46)), small)


def test_outlines_lose_spurs_and_holes_but_not_other_cells() -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[5:35, 5:35] = 4
    labels[20, 35:50] = 4  # a spur
    labels[10:13, 10:13] = 0  # a hole
    labels[20:26, 20:26] = 9  # another cell inside
    tidy = smooth_outlines(labels)
    assert (tidy[10:13, 10:13] == 4).all()
    assert (tidy[20:26, 20:26][1:-1, 1:-1] == 9).all()
    assert not tidy[:, 40:].any()
    assert np.unique(drop_small(labels, 37)).tolist() == [0, 4]


def test_pairing_and_border_keep_ids_shared() -> None:
    cells = np.zeros((20, 33), np.uint16)
    cells[:8, :8], cells[10:18, 10:20], cells[5:15, 22:30] = 9, 4, 300
    nuclei = np.zeros((20, 33), np.uint8)
    nuclei[2:5, 2:5], nuclei[12:15, 18:21], nuclei[0:3, 25:30] = 1, 2, 3  # 3 lies outside
    paired = pair_by_overlap(nuclei, cells)
    assert np.unique(paired.cells).tolist() == [0, 1, 2, 3]
    assert paired.nuclei[13, 18] == paired.cells[13, 18] == 1
    assert paired.nuclei[13, 20] == 0  # cut to its cell
    assert sorted(np.unique(paired.nuclei)) == [0, 1, 2]
    inner = drop_border_cells(paired)
    assert np.unique(inner.cells).tolist() == [0, 1, 2]
    assert inner.nuclei[13, 18] == inner.cells[13, 18] == 1
    empty = drop_border_cells(Segmentation(np.zeros((3, 4), np.int32), np.zeros((3, 4), np.int32)))
    assert not empty.cells.any()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        pytest.param({"diameter_px": -1}, "found -1, expected a number > 0", id="negative"),
        pytest.param({"pixel_um": float("nan")}, "expected a number > 0", id="nan"),
        pytest.param({"diameter_um": 12}, "needs --pixel-um; give both", id="no pixel"),
        pytest.param(
            {"diameter_um": 12, "diameter_px": 3, "pixel_um": 1},
            "cannot be combined with",
            id="two",
        ),
    ],
)
def test_sizes_that_make_no_sense_are_refused(sizes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NucleusSize(**sizes)


def test_a_known_pixel_bounds_the_estimate() -> None:
    plane = stain((disc((60, 60), 20), 90))
    assert NucleusSize(pixel_um=0.1).in_pixels(plane) == 50  # 5 um is the least
    assert NucleusSize(diameter_px=33).in_pixels(plane) == 33


def test_planes_of_different_size_are_named() -> None:
    with pytest.raises(InputError, match=r"found shapes .*expected one \(H, W\)"):
        need_planes({"blue": np.zeros((4, 5)), "red": np.zeros((5, 4))}, ("blue",), "x")


def test_nuclei_stand_for_cells_where_there_is_only_dna() -> None:
    planes = {"blue": stain((disc((60, 60), 20), 90)).astype(np.uint8)}
    segmenter = pickle.loads(pickle.dumps(WatershedSegmenter(nuclei_only=True)))
    found = segmenter(planes)
    assert found.cells.max() == 1
    np.testing.assert_array_equal(found.cells, found.nuclei)


def test_importing_the_room_loads_no_torch() -> None:
    code = "import sys, hpa_mmdet.segment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
