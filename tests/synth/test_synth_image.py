"""render_image: a whole truth that fits its picture, the same for the same seed."""

import cv2
import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.synth import LabelModel, SyntheticImage, render_cells, render_image
from hpa_mmdet.synth.outlines import Outline, paint_outlines

SHAPE_HW, PIXEL_UM = (240, 320), 0.4  # never square: swapped axes must fail


@pytest.fixture(scope="module")
def images() -> list[SyntheticImage]:
    return [render_image([5, seed], SHAPE_HW, PIXEL_UM) for seed in range(6)]


def test_channels_masks_and_sets_fit_each_other(images: list[SyntheticImage]) -> None:
    for image in images:
        assert image.channels.shape == (*SHAPE_HW, 4)
        assert image.channels.dtype == np.uint8
        ids = set(np.unique(image.cells).tolist()) - {0}
        assert ids == set(image.localizations) == set(np.unique(image.nuclei).tolist()) - {0}
        inside = image.nuclei > 0
        assert (image.nuclei[inside] == image.cells[inside]).all()
        assert 1 <= len(image.image_labels) <= 3
        for shown in image.localizations.values():
            assert len(shown) >= 1
            assert shown == {18} or 18 not in shown


def test_every_cell_is_one_piece_that_holds_its_nucleus(images: list[SyntheticImage]) -> None:
    for image in images:
        for cell_id in image.localizations:
            cell = (image.cells == cell_id).astype(np.uint8)
            assert cv2.connectedComponents(cell, connectivity=4)[0] == 2
            assert 0 < (image.nuclei == cell_id).sum() < cell.sum()


def test_the_nuclei_are_lit_in_blue_and_the_cells_in_red_and_yellow(
    images: list[SyntheticImage],
) -> None:
    for image in images:
        red, _, blue, yellow = np.moveaxis(image.channels.astype(float), 2, 0)
        nucleus, cell = image.nuclei > 0, image.cells > 0
        assert blue[nucleus].mean() > 3 * blue[~nucleus].mean()
        for plane in (red, yellow):
            assert plane[cell & ~nucleus].mean() > 3 * plane[~cell].mean()


def test_some_cells_touch_others_and_some_the_border(images: list[SyntheticImage]) -> None:
    touching = border = total = 0
    for image in images:
        frame = np.concatenate([image.cells[[0, -1]].ravel(), image.cells[:, [0, -1]].ravel()])
        border += len(set(frame.tolist()) - {0})
        total += len(image.localizations)
        for cell_id in image.localizations:
            around = cv2.dilate((image.cells == cell_id).astype(np.uint8), np.ones((3, 3)))
            met = image.cells[around > 0]
            touching += bool(((met != 0) & (met != cell_id)).any())
    assert 0.3 < touching / total < 0.98
    assert 0.1 < border / total < 0.7


def test_cells_have_the_size_of_real_ones() -> None:
    areas = [
        (image.cells == cell_id).sum() * 0.6**2
        for seed in range(5)
        for image in [render_image([6, seed], (180, 220), 0.6)]
        for cell_id in image.localizations
    ]
    assert 500 < np.median(areas) < 1300  # um2; 840 for real ones, most of them uncut


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    first, again, other = (render_image(seed, (120, 160), 0.5) for seed in (3, 3, 4))
    assert (first.channels == again.channels).all()
    assert (first.cells == again.cells).all()
    assert first.localizations == again.localizations
    assert (first.channels != other.channels).any()


def test_an_image_before_leaves_no_trace_in_the_next() -> None:
    alone = render_image(9, (120, 160), 0.5)
    render_image(8, (200, 180), 0.3)
    assert (render_image(9, (120, 160), 0.5).channels == alone.channels).all()


@pytest.mark.parametrize("pixel_um", [0.15, 0.7], ids=["fine", "coarse"])
def test_any_resolution_has_cells_of_the_same_size(pixel_um: float) -> None:
    shape_hw = (round(66 / pixel_um), round(90 / pixel_um))
    image = render_image(2, shape_hw, pixel_um, LabelModel(always=frozenset({0})))
    coarse = render_image(2, (132, 180), 0.5, LabelModel(always=frozenset({0})))
    assert image.cells.astype(bool).mean() == pytest.approx(
        coarse.cells.astype(bool).mean(), abs=0.05
    )


def test_cells_divide_only_where_they_show_a_spindle() -> None:
    image = render_image(1, SHAPE_HW, PIXEL_UM, LabelModel(share=1.0, always=frozenset({11})))
    assert set(image.localizations.values()) == {frozenset({11})}
    other = render_image(1, SHAPE_HW, PIXEL_UM, LabelModel(share=1.0, always=frozenset({0})))

    def nucleus_um2(image: SyntheticImage) -> float:
        return float((image.nuclei > 0).sum() / len(image.localizations) * PIXEL_UM**2)

    assert nucleus_um2(image) < 0.5 * nucleus_um2(other)  # a plate, not a whole nucleus


def test_where_outlines_overlap_each_pixel_has_one_cell_and_nucleus() -> None:
    circle = np.ones(257)
    first = Outline(np.array([20.0, 20.0]), 12 * circle, 7 * circle)
    second = Outline(np.array([20.0, 28.0]), 12 * circle, 3 * circle)
    cells, nuclei = paint_outlines([first, second], (100, 130), 0.4)
    assert set(np.unique(cells)) == set(np.unique(nuclei)) == {0, 1, 2}
    inside = nuclei > 0
    assert (cells[inside] == nuclei[inside]).all()
    assert cells[50, 45] == 1  # nearer to the first, though inside both
    assert cells[50, 75] == 2


def test_no_cells_give_a_dark_picture() -> None:
    empty = np.zeros((40, 60), np.uint16)
    channels = render_cells(np.random.default_rng(0), empty, empty, {}, 0.5)
    assert channels.shape == (40, 60, 4)
    assert np.median(channels) == 0


@pytest.mark.parametrize(
    ("shape_hw", "pixel_um", "message"),
    [
        pytest.param((64, 640), 0.25, "found 640x64 pixels of 0.25 um", id="flat"),
        pytest.param((640, 640), 0.0, "pixel size: found 0.0 um", id="no pixel"),
        pytest.param((640, 640), float("nan"), "pixel size: found nan um", id="nan"),
    ],
)
def test_sizes_that_hold_no_cell_are_refused(
    shape_hw: tuple[int, int], pixel_um: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        render_image(0, shape_hw, pixel_um)
