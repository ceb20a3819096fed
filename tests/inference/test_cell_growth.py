"""Found cells get the outlines that the stains show, and only where those are of the same cells."""

import cv2
import numpy as np
import pytest

from hpa_mmdet.inference.cell_growth import _keep_largest_pieces, grow_found_cells
from hpa_mmdet.inference.cell_nuclei import match_nuclei
from hpa_mmdet.masks.runs import runs_of_crop
from hpa_mmdet.predictions.cells import CellPrediction

SHAPE_HW = (160, 280)
CENTRES_XY = ((80, 80), (190, 80))
AXES = (54, 48)
NUCLEUS = 20


def disc(centre_xy: tuple[int, int], axes: tuple[int, int]) -> np.ndarray:
    return cv2.ellipse(np.zeros(SHAPE_HW, np.uint8), centre_xy, axes, 0, 0, 360, 1, -1) > 0


def picture(bodies: bool = True) -> dict[str, np.ndarray]:
    """Two cells side by side over a noisy background, brighter around their nuclei."""
    noise = np.random.default_rng(0)
    planes = {}
    for name in ("red", "yellow", "blue"):
        plane = np.full(SHAPE_HW, 12.0)
        for centre in CENTRES_XY:
            inside = disc(centre, (NUCLEUS, NUCLEUS) if name == "blue" else AXES)
            if name == "blue" or bodies:
                plane[inside] = 150
        plane = cv2.GaussianBlur(plane, (0, 0), 2) + noise.normal(0, 4, SHAPE_HW)
        planes[name] = plane.clip(0, 255).astype(np.uint8)
    return planes


def found(axes: tuple[int, int], shift: int = 0) -> list[CellPrediction]:
    """What a network might find: ellipses of another size, off the middle."""
    cells = []
    for number, (x, y) in enumerate(CENTRES_XY):
        mask = disc((x + shift, y - shift), axes)
        runs = runs_of_crop(mask, 0, 0, SHAPE_HW)
        cells.append(CellPrediction.of_runs(runs, 0.9 - 0.1 * number, np.full(19, 0.3)))
    return cells


def pixels(cell: CellPrediction) -> np.ndarray:
    return cell.runs.crop((0, 0, SHAPE_HW[1], SHAPE_HW[0]))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("channels", ["red yellow blue", "red blue", "yellow blue", "red"])
def test_outlines_come_from_the_stains(channels: str) -> None:
    planes = {name: plane for name, plane in picture().items() if name in channels.split()}
    before = found((44, 42), shift=6)
    after = grow_found_cells(before, planes)
    assert [cell.cell_score for cell in after] == [0.9, 0.8]
    for cell, rough, centre in zip(after, before, CENTRES_XY, strict=True):
        truth = disc(centre, AXES)
        assert iou(pixels(rough), truth) < 0.75
        assert iou(pixels(cell), truth) > 0.85
        assert pixels(cell).sum() == cell.area
        x, y, width, height = cell.bbox_xywh
        assert pixels(cell)[y : y + height, x : x + width].sum() == cell.area
    assert not (pixels(after[0]) & pixels(after[1])).any()


def test_masks_of_nuclei_stay_nuclei() -> None:
    after = grow_found_cells(found((NUCLEUS, NUCLEUS)), picture())
    for cell, centre in zip(after, CENTRES_XY, strict=True):
        assert iou(pixels(cell), disc(centre, (NUCLEUS, NUCLEUS))) > 0.99


def in_one_mask(planes: dict[str, np.ndarray]) -> list[CellPrediction]:
    """One found cell over both, whose stains meet."""
    middle = ((CENTRES_XY[0][0] + CENTRES_XY[1][0]) // 2, 80)
    for name in ("red", "yellow"):
        plane = planes[name]
        plane[disc(middle, (30, 20))] = np.maximum(plane[disc(middle, (30, 20))], 100)
    runs = runs_of_crop(disc(middle, (100, 40)), 0, 0, SHAPE_HW)
    return [CellPrediction.of_runs(runs, 0.9, np.full(19, 0.3))]


def test_a_found_cell_with_two_nuclei_is_parted() -> None:
    planes = picture()
    after = grow_found_cells(in_one_mask(planes), planes)
    assert [cell.cell_score for cell in after] == [0.9, 0.9]
    by_column = sorted(after, key=lambda cell: cell.bbox_xywh[0])
    for cell, centre in zip(by_column, CENTRES_XY, strict=True):
        assert iou(pixels(cell), disc(centre, AXES)) > 0.8


def test_a_nucleus_that_no_cell_holds_makes_one() -> None:
    planes = picture()
    first, new = grow_found_cells(found((44, 42))[:1], planes)
    assert (first.cell_score, new.cell_score) == (0.9, 0.5)
    assert iou(pixels(first), disc(CENTRES_XY[0], AXES)) > 0.85
    assert iou(pixels(new), disc(CENTRES_XY[1], AXES)) > 0.85
    assert new.localization_scores == pytest.approx(np.full(19, 0.3))


def test_a_cell_without_a_nucleus_is_less_sure_where_others_have_one() -> None:
    wide = {name: np.hstack([plane, plane]) for name, plane in picture().items()}
    shape_hw = wide["red"].shape
    x = CENTRES_XY[1][0] + SHAPE_HW[1]
    wide["blue"][:, x - 40 : x + 40] = 12  # the last of four cells has no nucleus
    masks = [
        np.hstack([disc(centre, AXES), np.zeros(SHAPE_HW, bool)][:: 1 if left else -1])
        for left in (True, False)
        for centre in CENTRES_XY
    ]
    cells = [
        CellPrediction.of_runs(runs_of_crop(mask, 0, 0, shape_hw), score, np.full(19, 0.3))
        for mask, score in zip(masks, (0.9, 0.8, 0.7, 0.95), strict=True)
    ]
    after = grow_found_cells(cells, wide)
    assert [cell.cell_score for cell in after] == pytest.approx([0.9, 0.8, 0.7, 0.475])
    # where the stain shows too few nuclei, none is doubted
    wide["blue"][:, SHAPE_HW[1] :] = 12
    after = grow_found_cells(cells, wide)
    assert [cell.cell_score for cell in after] == pytest.approx([0.95, 0.9, 0.8, 0.7])


@pytest.mark.parametrize("planes", [{}, {"blue": picture()["blue"]}], ids=["none", "blue"])
def test_without_a_stain_of_the_body_cells_are_parted(planes: dict[str, np.ndarray]) -> None:
    before = found((60, 48))  # they overlap
    after = grow_found_cells(before, planes)
    assert not (pixels(after[0]) & pixels(after[1])).any()
    together = pixels(before[0]) | pixels(before[1])
    assert np.array_equal(pixels(after[0]) | pixels(after[1]), together)


def test_what_lies_deep_inside_a_found_cell_is_its_own_however_dim() -> None:
    planes = picture()
    x, y = CENTRES_XY[0]
    dim = disc((x - 26, y), (18, 18))
    for name in ("red", "yellow"):
        planes[name][dim] = 12  # as dark as the background: a vacuole
    first, _ = grow_found_cells(found((54, 48)), planes)
    assert pixels(first)[y, x - 28]


def test_nuclei_belong_to_the_cells_that_hold_most_of_them() -> None:
    dna = np.zeros(SHAPE_HW, np.float32)
    for centre in ((50, 40), (120, 40), (200, 40), (200, 120)):
        dna[disc(centre, (15, 15))] = 200
    labels = np.zeros(SHAPE_HW, np.int32)
    labels[30:50, 30:80] = 1
    labels[30:50, 105:140] = 2
    labels[30:50, 210:260] = 3  # a part of one
    nuclei = match_nuclei(labels, 3, cv2.GaussianBlur(dna, (0, 0), 1), 30.0)
    assert nuclei.label_image[40, 50] == 1
    assert nuclei.label_image[26, 50] == 1  # the whole nucleus, beyond the found mask too
    assert nuclei.label_image[40, 120] == 2
    assert not nuclei.held_by  # two of three cells hold a nucleus: too few to be trusted
    assert not nuclei.lacking.any()
    assert not nuclei.label_image[100:].any()
    labels[30:50, 180:220] = 3
    nuclei = match_nuclei(labels, 3, cv2.GaussianBlur(dna, (0, 0), 1), 30.0)
    assert nuclei.held_by == [0]
    assert nuclei.label_image[120, 200] == 4


@pytest.mark.parametrize(("count", "parted"), [(2, True), (3, False)])
def test_cells_of_several_nuclei_stay_whole_where_there_are_many(count: int, parted: bool) -> None:
    dna, labels = np.zeros((60 * count, 140), np.float32), np.zeros((60 * count, 140), np.int32)
    for number in range(count):
        for x in (40, 100):
            cv2.circle(dna, (x, 60 * number + 30), 14, 200, -1)
        cv2.circle(dna, (70, 60 * number + 10), 5, 200, -1)  # a fragment makes no cell
        labels[60 * number : 60 * number + 58, 10:130] = number + 1
    nuclei = match_nuclei(labels, count, cv2.GaussianBlur(dna, (0, 0), 1), 28.0)
    assert sorted(nuclei.held_by) == (list(range(1, count + 1)) if parted else [])


def test_cells_too_small_to_be_grown_keep_their_pixels() -> None:
    wide = {name: np.kron(plane, np.ones((4, 4), np.uint8)) for name, plane in picture().items()}
    shape_hw = wide["red"].shape
    masks = [np.kron(disc(centre, AXES), np.ones((4, 4), bool)) for centre in CENTRES_XY]
    speck = np.zeros(shape_hw, bool)
    speck[5:7, 600:602] = True
    before = [
        CellPrediction.of_runs(runs_of_crop(mask, 0, 0, shape_hw), score, np.full(19, 0.3))
        for mask, score in zip([*masks, speck], (0.9, 0.8, 0.2), strict=True)
    ]
    after = grow_found_cells(before, wide)
    assert [cell.cell_score for cell in after] == [0.9, 0.8, 0.2]
    assert after[0].counts != before[0].counts
    assert 0 < after[2].area <= 16


def test_pieces_that_do_not_hang_together_are_taken_away() -> None:
    labels = np.zeros((20, 33), np.int32)
    labels[2:9, 2:9] = 4
    labels[12:14, 20:22] = 4
    labels[9, 9] = 4  # meets the large piece at a corner
    labels[15:18, 1:4] = 2
    expected = labels.copy()
    expected[12:14, 20:22] = expected[9, 9] = 0
    _keep_largest_pieces(labels)
    assert np.array_equal(labels, expected)


def test_no_cells_and_empty_stains() -> None:
    assert grow_found_cells([], picture()) == []
    dark = {name: np.zeros(SHAPE_HW, np.uint8) for name in ("red", "yellow", "blue")}
    before = found((44, 42))
    after = grow_found_cells(before, dark)
    assert [cell.counts for cell in after] == [cell.counts for cell in before]
