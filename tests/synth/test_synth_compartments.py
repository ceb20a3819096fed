"""Each localization lies where a biologist would look for it, and looks like no other."""

import cv2
import numpy as np
import pytest

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.synth.compartments import DRAWERS
from hpa_mmdet.synth.geometry import CellGeometry, spread_of
from hpa_mmdet.synth.outlines import make_plate, paint_profile
from hpa_mmdet.synth.protein import Stain, draw_protein
from hpa_mmdet.synth.references import draw_references
from hpa_mmdet.synth.texture import noise, splat

PIXEL_UM = 0.25
NUCLEAR, SPINDLE = {0, 1, 2, 3, 4, 5}, 11
IDS = [localization.short_name for localization in LOCALIZATIONS[:-1]]


def make_cell(seed: int, *, mitotic: bool = False) -> CellGeometry:
    cell = np.zeros((150, 190), np.uint8)
    nucleus = cell.copy()
    rng = np.random.default_rng(seed)
    if mitotic:
        cv2.circle(cell, (95, 75), 40, 1, -1)
        centre = np.array([75, 95]) * PIXEL_UM
        nucleus[paint_profile(make_plate(rng, 9.0), centre, cell.shape, PIXEL_UM)] = 1
    else:
        cv2.ellipse(cell, (95, 75), (80, 55), 20, 0, 360, 1, -1)
        cv2.ellipse(nucleus, (90, 75), (32, 24), 10, 0, 360, 1, -1)
    return CellGeometry(cell > 0, nucleus > 0, PIXEL_UM, rng, mitotic=mitotic)


def draw(label: int, seed: int) -> tuple[CellGeometry, np.ndarray]:
    cell = make_cell(seed, mitotic=label == SPINDLE)
    return cell, DRAWERS[label](cell)


def test_every_class_but_negative_has_a_drawing() -> None:
    assert sorted(DRAWERS) == list(range(18))


@pytest.mark.parametrize("label", DRAWERS, ids=IDS)
def test_light_is_finite_not_negative_and_in_its_compartment(label: int) -> None:
    for seed in range(3):
        cell, plane = draw(label, seed)
        assert plane.shape == cell.shape_hw
        assert np.isfinite(plane).all()
        assert plane.min() >= 0 < plane.max()
        near = cv2.dilate(cell.cell.astype(np.uint8), np.ones((27, 27)))
        assert plane[near == 0].max(initial=0) <= 0.02 * plane.max()
        bright = plane > 0.5 * plane.max()
        in_nucleus = bright[cell.from_nucleus_um < 0.5].sum() / bright.sum()
        if label in NUCLEAR:
            assert in_nucleus > 0.9
        elif label not in (9, SPINDLE):  # stress fibres and spindles cross the nucleus
            assert in_nucleus < 0.5


def spots(plane: np.ndarray) -> int:
    """How many separate bright parts there are."""
    return cv2.connectedComponents((plane > 0.4 * plane.max()).astype(np.uint8))[0] - 1


@pytest.mark.parametrize(
    ("label", "least", "most"),
    [
        pytest.param(5, 1, 10, id="2 to 10 nuclear bodies"),
        pytest.param(12, 1, 2, id="1 or 2 centrosomes"),
        pytest.param(15, 1, 2, id="1 or 2 aggresomes"),
        pytest.param(4, 6, 80, id="many speckles"),
        pytest.param(17, 8, 250, id="many vesicles"),
        pytest.param(2, 1, 6, id="some nucleoli"),
    ],
)
def test_spots_are_as_many_as_real_ones(label: int, least: int, most: int) -> None:
    counts = [spots(draw(label, seed)[1]) for seed in range(8)]
    assert least <= np.median(counts) <= most


def test_rims_lie_on_the_borders() -> None:
    for seed in range(4):
        cell, plane = draw(1, seed)
        away = cell.nucleus_depth_um + cell.from_nucleus_um
        assert plane[away < 0.2].mean() > 2 * plane[cell.nucleus & (away > 0.8)].mean()
        assert plane[away < 0.2].mean() > 20 * plane[cell.from_nucleus_um > 2].mean()
        cell, plane = draw(13, seed)
        away = cell.depth_um + cell.outside_um
        assert plane[away < 0.2].mean() > 2 * plane[cell.cell & (away > 2)].mean()


@pytest.mark.parametrize("degrees", [0, 20, 90, 150])
def test_the_long_axis_of_a_mask_is_found(degrees: int) -> None:
    mask = np.zeros((150, 190), np.uint8)
    cv2.ellipse(mask, (95, 75), (60, 30), degrees, 0, 360, 1, -1)
    axis, elongation = spread_of(mask > 0)
    assert abs(np.sin(axis - np.deg2rad(degrees))) < 0.02
    assert elongation == pytest.approx(0.5, abs=0.02)


def test_stress_fibres_run_along_the_cell_and_microtubules_do_not_as_much() -> None:
    def coherence(plane: np.ndarray, cell: CellGeometry) -> float:
        x, y = (cv2.Sobel(plane, cv2.CV_32F, dx, 1 - dx)[cell.cell] for dx in (1, 0))
        double = (x * x - y * y).sum() + 2j * (x * y).sum()
        return float(abs(double) / (x * x + y * y).sum())

    for seed in range(3):
        straight, tubules = (coherence(draw(k, seed)[1], draw(k, seed)[0]) for k in (9, 10))
        assert straight > 1.5 * tubules


def test_the_spindle_has_two_poles_on_either_side_of_the_plate() -> None:
    cell, plane = draw(SPINDLE, 1)
    bright = np.argwhere(plane > 0.75 * plane.max()) - cell.centre_yx
    axis = np.linalg.eigh(np.cov(bright.T))[1][:, -1]
    along = bright @ axis * PIXEL_UM
    assert along.min() < -2 < 2 < along.max()


def test_all_classes_look_different() -> None:
    """Nearest mean over simple shape numbers names most drawings rightly."""

    def describe(label: int, seed: int) -> np.ndarray:
        cell, plane = draw(label, seed)
        plane = plane / plane.max()
        ring = (cell.nucleus_depth_um + cell.from_nucleus_um) < 0.6
        rim = (cell.depth_um + cell.outside_um) < 0.6
        parts = (cell.nucleus, ring, rim, cell.cell & ~cell.nucleus, cell.nucleoli > 0.5)
        means = [plane[part].mean() if part.any() else 0.0 for part in parts]
        fine = [np.abs(plane - cv2.GaussianBlur(plane, (0, 0), s)).mean() for s in (1, 2, 5)]
        top = (plane > 0.5).mean()
        return np.log(np.array([*means, *fine, top, spots(plane) / 1e3]) + 1e-3)

    known = np.array([[describe(k, seed) for seed in range(6)] for k in DRAWERS])
    unseen = np.array([[describe(k, seed) for seed in range(6, 9)] for k in DRAWERS])
    centre, spread = known.mean(axis=1), known.std(axis=1).mean(axis=0)
    far = np.linalg.norm((unseen[:, :, None] - centre) / spread, axis=3)
    right = far.argmin(axis=2) == np.arange(18)[:, None]
    assert right.mean() > 0.75
    assert right.any(axis=1).sum() >= 17


def test_a_protein_on_the_reference_geometry_lies_on_that_very_geometry() -> None:
    stain = Stain(40, 200, 0.05, 1.0, 0.2)
    cell = make_cell(3)
    references = draw_references(cell)
    for label, plane in ((10, references.microtubules), (6, references.reticulum)):
        green = draw_protein(cell, frozenset({label}), references, stain)
        assert np.corrcoef(green[cell.cell], plane[cell.cell])[0, 1] > 0.9


def test_the_mean_brightness_of_a_cell_says_little_about_its_class() -> None:
    stain = Stain(32, 200, 0.1, 1.0, 0.0)
    means = []
    for label in DRAWERS:
        cells = [make_cell(seed, mitotic=label == SPINDLE) for seed in range(4)]
        greens = [draw_protein(c, frozenset({label}), draw_references(c), stain) for c in cells]
        means.append(np.median([g[c.cell].mean() for g, c in zip(greens, cells, strict=True)]))
    assert max(means) < 2.5 * min(means)


def test_a_negative_cell_is_darker_than_the_others_and_flat() -> None:
    stain = Stain(40, 200, 0.05, 1.0, 0.2)
    cell = make_cell(4)
    references = draw_references(cell)
    none = draw_protein(cell, frozenset({18}), references, stain)
    shown = draw_protein(cell, frozenset({0}), references, stain)
    assert 0 < none[cell.cell].mean() < 0.7 * shown[cell.cell].mean()
    deep = cell.cell & (cell.depth_um > 3)
    assert none[deep].std() < 0.3 * none[deep].mean()


def test_splat_keeps_all_light_of_points_inside_and_none_of_others() -> None:
    points = np.array([[1.25, 2.5], [3.0, 4.0], [-1.0, 2.0], [2.0, 9.5], [9.0, 1.0]])
    plane = splat((6, 8), points, np.array([2.0, 3.0, 5.0, 7.0, 11.0]))
    assert plane.sum() == pytest.approx(5.0)
    assert plane[3, 4] == pytest.approx(3.0)
    assert plane[1, 2] == pytest.approx(2 * 0.75 * 0.5)


@pytest.mark.parametrize("shape_hw", [(30, 50), (700, 40)], ids=["small", "wraps"])
def test_noise_is_standard(shape_hw: tuple[int, int]) -> None:
    plane = noise(np.random.default_rng(0), shape_hw, 0.7)
    assert plane.shape == shape_hw
    assert abs(plane.mean()) < 0.15
    assert plane.std() == pytest.approx(1, abs=0.15)
