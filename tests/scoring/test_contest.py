"""The contest metric: cases worked by hand, and equality with a literal reference."""

import numpy as np
import pytest
from contest_by_hand import (
    DrawnImage,
    box,
    contest_score,
    literal_average_precisions,
    random_images,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import SubmissionRow
from hpa_mmdet.scoring.average_precision import (
    RankedDetections,
    average_precisions,
    rank_detections,
    tied_share,
)
from hpa_mmdet.scoring.contest import ContestResult
from hpa_mmdet.scoring.matching import match_masks

CELL = box(2, 3, 10, 8)
OTHER = box(16, 3, 10, 8)
SHIFTED = box(3, 3, 10, 8)  # IoU with CELL 72 / 88 = 0.82
FAR = box(7, 3, 10, 8)  # IoU with CELL 40 / 120 = 0.33


def score(images: list[DrawnImage], **options: object) -> ContestResult:
    truth = {image.image_id: image.truth() for image in images}
    return contest_score([image.row() for image in images], truth, **options)


# cells, detections, then the average precision of the classes that have truths
HAND_WORKED = [
    pytest.param([(CELL, {4})], [(4, 0.9, SHIFTED)], {4: 1.0}, id="one found"),
    pytest.param([(CELL, {4})], [(4, 0.9, FAR)], {4: 0.0}, id="too little overlap"),
    pytest.param([(CELL, {4})], [(5, 0.9, CELL)], {4: 0.0}, id="another class"),
    pytest.param([(CELL, {4})], [], {4: 0.0}, id="nothing detected"),
    pytest.param([], [(4, 0.9, CELL)], {}, id="no truth at all"),
    pytest.param(
        [(CELL, {0, 14}), (OTHER, {0})],
        [(0, 0.9, CELL), (14, 0.2, CELL), (0, 0.8, OTHER)],
        {0: 1.0, 14: 1.0},
        id="several labels for one cell",
    ),
    pytest.param(
        # the second detection of the same cell is false: precision at full recall is 2/3
        [(CELL, {4}), (OTHER, {4})],
        [(4, 0.9, CELL), (4, 0.8, SHIFTED), (4, 0.7, OTHER)],
        {4: 0.5 * 1 + 0.5 * 2 / 3},
        id="duplicate",
    ),
    pytest.param(
        # the envelope lifts the first point: precision 0, 1/2, 2/3 becomes 2/3 throughout
        [(CELL, {4}), (OTHER, {4})],
        [(4, 0.9, FAR), (4, 0.8, CELL), (4, 0.7, OTHER)],
        {4: 2 / 3},
        id="envelope",
    ),
    pytest.param(
        # a detection over two cells belongs to the one it overlaps most, of its class
        [(box(0, 0, 8, 10), {4}), (box(8, 0, 4, 10), {4})],
        [(4, 0.9, box(0, 0, 12, 10)), (4, 0.8, box(8, 0, 4, 10))],
        {4: 1.0},
        id="over two cells of its class",
    ),
    pytest.param(
        # it overlaps most a cell of another class: the best of its own class counts
        [(box(0, 0, 10, 10), {4}), (box(0, 0, 10, 9), {5})],
        [(5, 0.9, box(0, 0, 10, 10))],
        {4: 0.0, 5: 1.0},
        id="overlaps most a cell of another class",
    ),
    pytest.param(
        # overlapping truths: the best one is taken, so the second detection is false,
        # though the other cell would still be free
        [(box(0, 0, 10, 10), {4}), (box(0, 0, 10, 8), {4})],
        [(4, 0.9, box(0, 0, 10, 10)), (4, 0.8, box(0, 0, 10, 10))],
        {4: 0.5},
        id="the best truth is taken and no other is tried",
    ),
    pytest.param(
        # tied: file order decides, the false one stands first
        [(CELL, {4})],
        [(4, 0.5, FAR), (4, 0.5, CELL)],
        {4: 0.5},
        id="tie in file order",
    ),
    pytest.param([(box(0, 0, 10, 6), {4})], [(4, 0.5, box(0, 0, 10, 10))], {4: 1.0}, id="IoU 0.6"),
]


@pytest.mark.parametrize(("cells", "detections", "expected"), HAND_WORKED)
def test_worked_by_hand(cells: list, detections: list, expected: dict[int, float]) -> None:
    images = [DrawnImage("1", cells, detections)]
    result = score(images)
    assert {int(k): result.ap[k] for k in np.flatnonzero(~np.isnan(result.ap))} == pytest.approx(
        expected, abs=1e-12
    )
    assert np.array_equal(literal_average_precisions(images), result.ap, equal_nan=True)
    assert result.contest_map == pytest.approx(
        np.mean(list(expected.values())) if expected else float("nan"), nan_ok=True
    )
    assert result.detections.sum() == len(detections)


def test_classes_without_truths_count_only_as_false_elsewhere() -> None:
    images = [
        DrawnImage("1", [(CELL, {4})], [(4, 0.5, CELL)]),
        DrawnImage("2", [(CELL, {7})], [(4, 0.9, CELL), (7, 0.9, CELL), (12, 0.9, CELL)]),
    ]
    result = score(images)
    # class 4: the detection in image 2 is false and ranks first; 12 has no truth
    assert result.ap[4] == 0.5
    assert result.ap[7] == 1.0
    assert result.contest_map == 0.75
    assert np.isnan(result.ap[12])


@settings(max_examples=80, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_equal_to_the_literal_reference(seed: int) -> None:
    images = random_images(seed)
    result = score(images, tie_orders=0)
    expected = literal_average_precisions(images)
    np.testing.assert_allclose(result.ap, expected, rtol=0, atol=1e-12)
    if not np.all(np.isnan(expected)):
        assert result.contest_map == pytest.approx(np.nanmean(expected), abs=1e-12)


def test_the_order_of_ties_is_tried() -> None:
    images = [
        DrawnImage("1", [(CELL, {4})], [(4, 0.5, FAR), (4, 0.5, OTHER), (4, 0.5, CELL)]),
        DrawnImage("2", [(CELL, {5})], [(5, 0.5, CELL), (4, 0.1, CELL)]),
    ]
    result = score(images, tie_orders=40, seed=3)
    assert result.tied_share == 3 / 5
    assert result.contest_map == pytest.approx((1 / 3 + 1) / 2)
    assert (result.ties.lowest, result.ties.highest) == (pytest.approx(2 / 3), 1.0)
    assert result.ties.lowest < result.ties.mean < result.ties.highest
    assert result.ties == score(images, tie_orders=40, seed=3).ties


def test_many_equal_confidences_stay_in_file_order() -> None:
    classes = np.arange(400) % 2
    scores = np.full(400, 0.5)
    scores[:2] = 0.9
    ranking = rank_detections(RankedDetections(scores, classes, classes), 2)
    assert ranking.order.tolist() == [*range(0, 400, 2), *range(1, 400, 2)]
    assert ranking.edges.tolist() == [0, 200, 400]


def test_of_no_detections_none_are_tied() -> None:
    result = score([DrawnImage("1", [(CELL, {4})], []), DrawnImage("2", [], [(3, 0.5, CELL)])])
    assert (result.tied_share, result.ties.orders, result.contest_map) == (0, 0, 0)


def test_without_ties_no_orders_are_tried() -> None:
    result = score([DrawnImage("1", [(CELL, {4})], [(4, 0.5, CELL), (5, 0.5, CELL)])])
    assert result.tied_share == 0
    assert result.ties == (0, 1.0, 1.0, 1.0)


def test_ties_in_classes_without_truths_do_not_count() -> None:
    scores, classes = np.array([0.5, 0.5, 0.2]), np.array([1, 1, 0])
    ranking = rank_detections(RankedDetections(scores, classes, np.array([-1, -1, 0])), 2)
    assert tied_share(ranking, np.array([1, 0])) == 0
    assert tied_share(ranking, np.array([1, 1])) == 2 / 3
    assert ranking.order.tolist() == [2, 0, 1]
    none = np.empty(0, int)
    nothing = rank_detections(RankedDetections(np.empty(0), none, none), 2)
    assert tied_share(nothing, np.array([1, 0])) == 0
    assert average_precisions(nothing, np.array([2, 0])) == pytest.approx([0, np.nan], nan_ok=True)
    assert average_precisions(nothing, np.array([2, 0]), np.random.default_rng(0))[0] == 0


def test_images_in_one_file_only_are_told() -> None:
    images = [DrawnImage("1", [(CELL, {4})], [(4, 0.5, CELL)]), DrawnImage("2", [(CELL, {4})])]
    truth = {image.image_id: image.truth() for image in images}
    stranger = DrawnImage("9", [], [(4, 0.9, CELL)])
    result = contest_score([stranger.row(), images[0].row()], truth)
    assert result.missing == ("2",)
    assert result.unknown == ("9",)
    assert result.contest_map == 0.5  # the missing image's cell is not found
    assert result.detections.sum() == 1


def test_files_without_a_common_image_are_refused() -> None:
    truth = {"1": DrawnImage("1", [(CELL, {4})]).truth()}
    with pytest.raises(InputError, match="no image of the truth, expected the same image ids"):
        contest_score([SubmissionRow("2", 30, 20, [])], truth)


def test_a_row_of_another_size_is_refused() -> None:
    truth = {"1": DrawnImage("1", [(CELL, {4})]).truth()}
    with pytest.raises(InputError, match="found 20x30 pixels, expected 30x20 as in the truth"):
        contest_score([SubmissionRow("1", 20, 30, [])], truth)


def test_masks_are_paired_one_to_one() -> None:
    iou = np.array([[0.9, 0.7], [0.95, 0.0], [0.1, 0.65]])
    assert match_masks(iou, 0.6).tolist() == [1, 0]
    assert match_masks(iou, 0.8).tolist() == [1, -1]
    assert match_masks(np.zeros((0, 2)), 0.6).tolist() == [-1, -1]
    assert match_masks(np.zeros((2, 0)), 0.6).tolist() == []
