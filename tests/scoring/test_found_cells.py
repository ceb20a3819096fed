"""Detection of cells and image labels, by hand and between the two COCO evaluators."""

from importlib import import_module

import numpy as np
import pytest
from contest_by_hand import DrawnImage, box, rle
from pycocotools.cocoeval import COCOeval

from hpa_mmdet.errors import InputError
from hpa_mmdet.scoring import detection
from hpa_mmdet.scoring.detection import DetectionCollector, DetectionResult
from hpa_mmdet.scoring.detections import detections_of_cells, detections_of_row
from hpa_mmdet.scoring.images import ImageCollector, pool_class_scores
from hpa_mmdet.scoring.marks import compute_marks

CELLS = [box(0, 0, 10, 8), box(12, 0, 10, 8), box(0, 10, 10, 8)]


def collect(images: list[tuple[list, list, list]]) -> DetectionResult:
    collector = DetectionCollector()
    for number, (cells, masks, scores) in enumerate(images, start=1):
        truth = DrawnImage(str(number), [(cell, {number}) for cell in cells]).truth()
        collector.add(truth, [rle(mask) for mask in masks], np.array(scores))
    return collector.result()


def test_detection_by_hand() -> None:
    shifted = box(1, 0, 10, 8)  # IoU 72 / 88 = 0.82
    half = box(12, 0, 10, 5)  # IoU 0.625
    wrong = box(20, 12, 8, 6)
    found = collect([(CELLS, [shifted, half, wrong], [0.9, 0.7, 0.8]), ([], [], [])])
    assert (found.cells, found.detections) == (3, 3)
    assert found.recall == pytest.approx({0.5: 2 / 3, 0.6: 2 / 3, 0.75: 1 / 3})
    assert found.precision == pytest.approx({0.5: 2 / 3, 0.6: 2 / 3, 0.75: 1 / 3})
    # 101 points: precision 1 up to recall 1/3 (34 points), 2/3 up to 2/3 (33), then 0
    assert found.ap[0.6] == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert found.ap[0.75] == pytest.approx(34 / 101)


def test_more_than_a_hundred_cells_all_count() -> None:
    cells = [box(x, y, 2, 2) for y in range(0, 20, 2) for x in range(0, 30, 2)]
    assert len(cells) == 150
    found = collect([(cells, cells, np.linspace(0.1, 0.9, 150))])
    assert found.recall[0.75] == 1
    assert found.ap[0.75] == 1


def test_nothing_true_and_nothing_detected() -> None:
    nothing = collect([(CELLS, [], [])])
    assert nothing.ap == {0.5: 0.0, 0.6: 0.0, 0.75: 0.0}
    assert (nothing.cells, nothing.detections) == (3, 0)
    assert nothing.recall == nothing.precision == nothing.ap
    no_truth = collect([([], [CELLS[0]], [0.5])])
    assert np.isnan(no_truth.ap[0.5])
    assert (no_truth.cells, no_truth.detections) == (0, 1)
    assert np.isnan([*no_truth.recall.values(), *no_truth.precision.values()]).all()


def test_the_faster_evaluator_is_used_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faster = pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")
    assert detection._evaluator_class() is faster.COCOeval_faster
    monkeypatch.setattr(detection, "find_spec", lambda name: None)
    assert detection._evaluator_class() is COCOeval


@pytest.mark.parametrize("seed", range(4))
def test_both_evaluators_agree(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        faster = import_module("faster_coco_eval").COCOeval_faster
    except ModuleNotFoundError:
        pytest.skip("faster-coco-eval is not installed")
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(4):
        masks = [box(int(x), int(y), 8, 7) for x, y in rng.integers((0, 0), (20, 12), (9, 2))]
        images.append((masks[:5], masks[1:], np.round(rng.random(8), 1)))
    monkeypatch.setattr(detection, "_evaluator_class", lambda: COCOeval)
    plain = collect(images)
    monkeypatch.setattr(detection, "_evaluator_class", lambda: faster)
    assert collect(images) == plain


def test_masks_of_a_submission_are_ranked_by_all_their_classes() -> None:
    shifted = box(0, 0, 12, 8)
    truth = DrawnImage("1", [], [(0, 0.5, CELLS[0]), (3, 0.6, shifted), (7, 0.5, CELLS[0])])
    found = detections_of_row(truth.row(), truth.truth())
    assert len(found.masks) == 2
    assert found.mask_index.tolist() == [0, 1, 0]
    assert found.cell_scores() == pytest.approx([0.75, 0.6])
    again = detections_of_cells(found.masks, found.class_scores())
    assert np.array_equal(again.class_scores(), found.class_scores())
    twice = found._replace(hpa_index=np.array([0, 3, 0]), scores=np.array([0.2, 0.6, 0.1]))
    assert twice.class_scores()[0, 0] == 0.2  # the higher of two for one class


def test_pooling() -> None:
    scores = np.array([[0.5, 0.0, 1.0], [0.1, 0.0, 0.2]])
    assert pool_class_scores(scores).tolist() == [0.5, 0.0, 1.0]
    assert pool_class_scores(scores, "mean") == pytest.approx([0.3, 0.0, 0.6])
    assert pool_class_scores(scores, "noisy_or") == pytest.approx([0.55, 0.0, 1.0])
    assert pool_class_scores(np.empty((0, 3))).tolist() == [0, 0, 0]


def test_an_unknown_pooling_is_refused() -> None:
    with pytest.raises(InputError, match="found 'median', expected max or mean or noisy_or"):
        ImageCollector("median")


def test_image_labels_from_cells() -> None:
    images = ImageCollector("max")
    labels = np.zeros((4, 19), bool)
    labels[[0, 2], 4] = True
    for image_labels, score in zip(labels, (0.9, 0.7, 0.6, 0.1), strict=True):
        cells = np.zeros((2, 19))
        cells[1, 4] = score
        images.add(image_labels, cells)
    result = images.result(resamples=50)
    assert result.mean_ap.value == pytest.approx((1 + 2 / 3) / 2)
    assert result.mean_ap.low <= result.mean_ap.value <= result.mean_ap.high
    assert result.images[4] == 2
    assert np.isnan(result.ap[5])
    assert np.isnan(ImageCollector().result(resamples=5).mean_ap.value)


def test_marks_are_what_each_guess_knows() -> None:
    # two images of class sets {0, 1}; in each one cell shows 0, the other 1
    images = [
        DrawnImage(str(number), [(CELLS[0], {0}), (CELLS[1], {1})]).truth() for number in (1, 2)
    ]
    third = DrawnImage("3", [(CELLS[0], {2}), (CELLS[1], {2})]).truth()
    marks = compute_marks([*images, third], tie_orders=400)
    assert marks.truth.contest_map == 1
    # class 2 is certain; of 4 tied detections of 0 two are true: expected AP by counting
    expected = _expected_random_ap(4, 2)
    assert marks.image_labels_one.ap_over_orders[0] == pytest.approx(expected, abs=0.03)
    assert marks.image_labels_one.ap_over_orders[2] == 1
    assert marks.image_labels_share.ties.mean == pytest.approx((2 * expected + 1) / 3, abs=0.03)
    assert marks.frequencies.ap_over_orders[0] == pytest.approx(_expected_random_ap(6, 2), abs=0.03)


def test_the_share_mark_ranks_cells_of_few_labels_first() -> None:
    sure = DrawnImage("1", [(CELLS[0], {0})]).truth()
    unsure = DrawnImage("2", [(CELLS[0], {0}), (CELLS[1], {1})]).truth()
    marks = compute_marks([unsure, sure], tie_orders=200)
    # class 0: the sure cell is first, then one true and one false in either order
    assert marks.image_labels_share.ap_over_orders[0] == pytest.approx(11 / 12, abs=0.03)
    assert marks.image_labels_one.ap_over_orders[0] == pytest.approx(
        _expected_random_ap(3, 2), abs=0.03
    )


def _expected_random_ap(detections: int, true: int) -> float:
    from itertools import combinations

    values = []
    for places in combinations(range(1, detections + 1), true):
        precision = [(at + 1) / place for at, place in enumerate(places)]
        values.append(np.mean([max(precision[at:]) for at in range(true)]))
    return float(np.mean(values))
