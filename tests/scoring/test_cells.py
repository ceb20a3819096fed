"""Scores of named cells: by hand, against literal references, and with constant scores."""

import numpy as np
import pytest
from contest_by_hand import DrawnImage, box

from hpa_mmdet.scoring import cells, resampling
from hpa_mmdet.scoring.calibration import calibration_curve
from hpa_mmdet.scoring.cells import CellCollector, ScoredCells, call_cross_fitted, score_cells
from hpa_mmdet.scoring.confusion import confusion, cooccurrence
from hpa_mmdet.scoring.images import ImageCollector
from hpa_mmdet.scoring.ranking import best_threshold, f1_scores, label_average_precision
from hpa_mmdet.scoring.resampling import resample_images

K = 19


def literal_average_precision(truth: np.ndarray, scores: np.ndarray) -> float:
    """Each different score is a threshold; everything at or above it is called."""
    area, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        called = scores >= threshold
        recall = (truth & called).sum() / truth.sum()
        area += (recall - recall_before) * (truth & called).sum() / called.sum()
        recall_before = recall
    return area


def random_table(seed: int, cells: int = 60) -> ScoredCells:
    rng = np.random.default_rng(seed)
    truth = rng.random((cells, K)) < np.linspace(0.0, 0.6, K)  # class 0 is never shown
    scores = np.round(np.clip(0.4 * truth + 0.6 * rng.random((cells, K)), 0, 1), 2)
    images = np.sort(rng.integers(0, 12, cells))
    return ScoredCells(scores, truth, images, np.ones(cells, bool))


@pytest.mark.parametrize("seed", range(10))
def test_average_precision_equals_the_literal_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(30) < 0.3
    truth[0] = True
    scores = np.round(rng.random(30), 1)  # many ties
    expected = literal_average_precision(truth, scores)
    assert label_average_precision(truth, scores)[0] == pytest.approx(expected, abs=1e-12)


def test_one_sample_of_a_class_is_enough() -> None:
    assert label_average_precision(np.array([True, False]), np.array([0.9, 0.1]))[0] == 1


def test_constant_scores_have_the_frequency_as_average_precision() -> None:
    truth = np.array([True, False, False, True, False])
    assert label_average_precision(truth, np.full(5, 0.3))[0] == 0.4


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_the_same_as_repeating_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(20) < 0.4, np.round(rng.random(20), 1)
    called = rng.random((20, 2)) < 0.5
    both = np.stack([truth, ~truth], axis=1)
    weights = rng.integers(0, 3, (4, 20)).astype(float)
    ap = label_average_precision(truth, scores, weights)
    f1 = f1_scores(both, called, weights)
    for draw, one_ap, one_f1 in zip(weights.astype(int), ap, f1, strict=True):
        again = np.repeat(np.arange(20), draw)
        assert one_ap == pytest.approx(label_average_precision(truth[again], scores[again])[0])
        np.testing.assert_allclose(one_f1, f1_scores(both[again], called[again])[0])


def test_a_class_that_nothing_shows_is_unknown() -> None:
    none = np.zeros(3, bool)
    assert np.isnan(label_average_precision(none, np.arange(3.0))[0])
    assert np.isnan(label_average_precision(np.empty(0, bool), np.empty(0))[0])
    assert best_threshold(none, np.arange(3.0)) == float("inf")
    assert np.isnan(f1_scores(none[:, None], ~none[:, None])[0, 0])


@pytest.mark.parametrize("seed", range(10))
def test_no_other_threshold_has_a_higher_f1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, scores = rng.random(25) < 0.4, np.round(rng.random(25), 1)
    truth[scores.argmax()] = True
    above_0 = np.unique(scores[scores > 0])
    best = f1_scores(truth[:, None], (scores >= best_threshold(truth, scores))[:, None])[0, 0]
    tried = [f1_scores(truth[:, None], (scores >= at)[:, None])[0, 0] for at in above_0]
    assert best == pytest.approx(max(tried))


@pytest.mark.parametrize(
    ("truth", "scores", "expected"),
    [
        pytest.param([1, 0], [0.0, 0.0], np.inf, id="a score of 0 is never a call"),
        pytest.param([1, 0], [0.5, 0.0], 0.5, id="lowest positive score"),
        pytest.param([0, 1], [0.5, 0.0], np.inf, id="only 0 would be right"),
        pytest.param([1, 0, 0], [0.6, 0.2, 0.1], 0.4, id="half-way"),
        pytest.param([1, 1, 0, 0], [0.9, 0.6, 0.6, 0.2], 0.4, id="the last of equal scores"),
        pytest.param([1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6], 0.85, id="precision before recall"),
    ],
)
def test_thresholds_by_hand(truth: list, scores: list, expected: float) -> None:
    found = best_threshold(np.array(truth, bool), np.array(scores))
    assert found == pytest.approx(expected)


def test_a_threshold_between_neighbours_among_the_floats_is_the_upper_one() -> None:
    above = np.nextafter(0.5, 1)  # half-way would be rounded to 0.5
    assert best_threshold(np.array([True, False]), np.array([above, 0.5])) == above


def test_cells_scored_by_their_truth_are_perfect() -> None:
    table = random_table(0)
    result = score_cells(
        ScoredCells(table.truth.astype(float), table.truth, table.images, table.found), resamples=20
    )
    assert result.mean_ap == (1.0, 1.0, 1.0)
    assert result.macro_f1.value > 0.9  # a rare class may lack cells to tune its threshold on
    assert np.isnan(result.ap[0])
    assert np.isnan(result.f1[0])
    assert result.thresholds[0] == np.inf
    assert result.frequency_ap == pytest.approx(table.truth[:, table.truth.any(axis=0)].mean())


def test_ranges_hold_the_figure_and_come_from_the_seed() -> None:
    table = random_table(1)
    result = score_cells(table, resamples=100, seed=5)
    assert result.mean_ap.low < result.mean_ap.value < result.mean_ap.high
    assert result.macro_f1.low < result.macro_f1.value < result.macro_f1.high
    assert result.mean_ap == score_cells(table, resamples=100, seed=5).mean_ap
    assert np.isnan(score_cells(table, resamples=0).mean_ap.low)


def test_whole_images_are_drawn() -> None:
    images = np.array([7, 7, 7, 2, 2, 9])
    for weights in resample_images(images, 50, seed=0):
        assert weights.shape == (50, 6)
        assert np.all(weights[:, 0] == weights[:, 1])
        assert np.all(weights[:, [0, 3, 5]].sum(axis=1) == 3)
    assert list(resample_images(np.empty(0, np.intp), 5, seed=0)) == []


def test_the_draws_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.array([7, 7, 7, 2, 2, 9])
    (whole,) = resample_images(images, 10, seed=0)
    monkeypatch.setattr(resampling, "_BLOCK", 4 * len(images))
    parts = list(resample_images(images, 10, seed=0))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert np.array_equal(np.concatenate(parts), whole)
    monkeypatch.setattr(resampling, "_BLOCK", 1)
    assert [len(part) for part in resample_images(images, 3, seed=0)] == [1, 1, 1]


def test_ranges_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    table = random_table(2)
    whole = score_cells(table, resamples=20)
    images = ImageCollector()
    for row in range(12):
        images.add(table.truth[row], table.scores[[row]])
    of_images = images.result(resamples=20)
    monkeypatch.setattr(resampling, "_BLOCK", 2 * len(table.images))
    assert score_cells(table, resamples=20).mean_ap == whole.mean_ap
    assert score_cells(table, resamples=20).macro_f1 == whole.macro_f1
    monkeypatch.setattr(resampling, "_BLOCK", 2 * 12)
    assert images.result(resamples=20).mean_ap == of_images.mean_ap


def test_a_range_holds_95_percent_of_the_resamples() -> None:
    resampled = [*map(float, range(1001)), float("nan")]
    assert resampling.with_range(7.0, resampled) == (7.0, 25.0, 975.0)
    assert np.isnan(resampling.with_range(7.0, [float("nan")]).low)


def test_calls_never_use_a_threshold_tuned_on_their_own_image() -> None:
    # image 0 is scored high throughout, image 1 low: its own threshold would be right
    truth = np.zeros((8, K), bool)
    truth[[0, 1, 4, 5], 3] = True
    scores = np.zeros((8, K))
    scores[:, 3] = [0.9, 0.9, 0.8, 0.8, 0.4, 0.4, 0.3, 0.3]
    table = ScoredCells(scores, truth, np.repeat([0, 1], 4), np.ones(8, bool))
    called = call_cross_fitted(table)[:, 3]
    assert called.tolist() == [True] * 4 + [False] * 4  # thresholds 0.35 and 0.85


def test_no_cells_and_one_image() -> None:
    empty = CellCollector().table()
    result = score_cells(empty, resamples=5)
    assert np.isnan(result.mean_ap.value)
    assert np.isnan(result.frequency_ap)
    assert result.called.shape == (0, K)
    one = ScoredCells(
        np.full((2, K), 0.5), np.eye(2, K, dtype=bool), np.zeros(2, int), np.ones(2, bool)
    )
    assert call_cross_fitted(one).sum() == 4


def test_cells_get_the_scores_of_the_mask_that_overlaps_them() -> None:
    image = DrawnImage(
        "1", [(box(0, 0, 8, 8), {1}), (box(12, 0, 8, 8), {2}), (box(0, 10, 5, 5), {3})]
    )
    iou = np.array([[0.0, 0.9, 0.0], [0.7, 0.0, 0.0]])
    class_scores = np.array([[0.2] * K, [0.6] * K])
    collect = CellCollector()
    collect.add_overlaps(image.truth(), class_scores, iou, 0.6)
    collect.add_overlaps(DrawnImage("2").truth(), np.empty((0, K)), np.empty((0, 0)), 0.6)
    collect.add(image.truth(), class_scores, np.array([0, 0, 1]))
    table = collect.table()
    assert table.scores[:, 0].tolist() == [0.6, 0.2, 0.0, 0.2, 0.2, 0.6]
    assert table.found.tolist() == [True, True, False, True, True, True]
    assert table.images.tolist() == [0, 0, 0, 2, 2, 2]
    assert table.truth[1, 2]


def test_calibration_by_hand() -> None:
    truth = np.array([[True, True], [False, False]])
    scores = np.array([[1.0, 0.92], [0.96, 0.04]])
    curve = calibration_curve(truth, scores)
    assert curve.counts.tolist() == [1, 3]
    assert curve.predicted == pytest.approx([0.04, 0.96])
    assert curve.observed == pytest.approx([0.0, 2 / 3])
    assert curve.error == pytest.approx((0.04 + 3 * (0.96 - 2 / 3)) / 4)
    assert calibration_curve(truth, np.array([[0.81, 0.85], [0.3, 0.34]])).counts.tolist() == [2, 2]
    assert np.isnan(calibration_curve(np.empty((0, 19), bool), np.empty((0, 19))).error)


def test_calibrated_scores_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((4000, 3))
    truth = rng.random((4000, 3)) < scores
    assert calibration_curve(truth, scores).error < 0.02
    assert calibration_curve(truth, scores**3).error > 0.15


def test_confusion_leaves_out_what_the_cell_shows_as_well() -> None:
    #            shows        called
    rows = [({0}, {0}), ({0, 1}, {0, 1}), ({0}, {1}), ({1}, set()), ({2}, {2, 5})]
    truth, called = np.zeros((5, K), bool), np.zeros((5, K), bool)
    for row, (shown, said) in enumerate(rows):
        truth[row, list(shown)] = called[row, list(said)] = True
    table = confusion(truth, called)
    assert table[0, 0] == pytest.approx(2 / 3)
    assert table[0, 1] == pytest.approx(1 / 2)  # two cells show 0 but not 1, one is called 1
    assert table[1, 0] == 0
    assert table[1, 1] == 1 / 2
    assert table[2, 5] == 1  # the only cell that shows 2 but not 5
    assert np.all(np.isnan(table[3]))
    shares = cooccurrence(truth)
    assert shares[0, 1] == pytest.approx(1 / 3)
    assert shares[1, 0] == pytest.approx(1 / 2)
    assert shares[2, 2] == 1
    assert np.all(np.isnan(shares[3]))


def test_the_truth_is_called_whole_though_a_class_is_in_one_image_only() -> None:
    truth = np.zeros((12, 19), bool)
    truth[:, 3] = True
    truth[4, 7] = True
    table = ScoredCells(truth.astype(float), truth, np.repeat(np.arange(6), 2), np.ones(12, bool))
    assert np.array_equal(call_cross_fitted(table), truth)
    assert score_cells(table, resamples=5).macro_f1 == (1.0, 1.0, 1.0)
    half = ScoredCells(truth * 0.4, truth, table.images, table.found)
    called = call_cross_fitted(half)
    assert called[:, 3].all()  # tuned on the other images
    assert not called[:, 7].any()  # below what is called where nothing could be tuned
    more = ScoredCells(truth * 0.6, truth, table.images, table.found)
    assert np.array_equal(call_cross_fitted(more), truth)


def test_thresholds_are_tuned_on_four_fifths_of_the_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = random_table(3)
    tuned_on: list[int] = []

    def tune(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
        tuned_on.append(len(truth))
        return np.zeros(K)

    monkeypatch.setattr(cells, "tune_thresholds", tune)
    call_cross_fitted(table)
    assert len(tuned_on) == 5
    assert sum(tuned_on) == 4 * len(table.truth)
