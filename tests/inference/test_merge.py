"""merge_sources: cells matched by overlap, scores averaged, masks by vote."""

import numpy as np
import pytest

from hpa_mmdet.inference.merge import merge_sources
from hpa_mmdet.masks.runs import runs_of_crop
from hpa_mmdet.predictions.cells import CellPrediction

SHAPE_HW = (30, 44)


def cell(x: int, y: int, width: int, height: int, score: float, shown: float) -> CellPrediction:
    runs = runs_of_crop(np.ones((height, width), bool), x, y, SHAPE_HW)
    return CellPrediction.of_runs(runs, score, np.full(19, shown, np.float32))


def test_hand_made_table() -> None:
    first = [cell(2, 2, 10, 10, 0.9, 0.8), cell(20, 5, 8, 8, 0.5, 0.2)]
    second = [cell(3, 2, 10, 10, 0.6, 0.4), cell(30, 20, 6, 6, 0.3, 1.0)]
    merged = merge_sources([first, second])
    # matched: (0.9 + 0.6) / 2, (0.9 * 0.8 + 0.6 * 0.4) / 1.5; alone: halved, named as it was
    assert [one.cell_score for one in merged] == pytest.approx([0.75, 0.25, 0.15])
    assert [one.localization_scores[0] for one in merged] == pytest.approx([0.64, 0.2, 1.0])
    # of two that disagree, half of the weight is enough
    assert merged[0].runs.bbox_xywh == (2, 2, 11, 10)


def test_weights_count_in_scores_and_votes() -> None:
    heavy, light = [cell(2, 2, 10, 10, 0.8, 0.5)], [cell(4, 2, 10, 10, 0.4, 1.0)]
    (merged,) = merge_sources([heavy, light], weights=[3, 1])
    assert merged.cell_score == pytest.approx(0.7)
    assert merged.localization_scores[4] == pytest.approx((0.6 * 0.5 + 0.1 * 1.0) / 0.7)
    assert merged.runs.bbox_xywh == (2, 2, 10, 10)


def test_the_product_of_averages_is_the_average_of_products() -> None:
    rng = np.random.default_rng(0)
    sources = [[cell(2, 2, 10, 10, *rng.random(2))] for _ in range(5)]
    (merged,) = merge_sources(sources)
    products = [one.cell_score * one.localization_scores[0] for (one,) in sources]
    assert merged.cell_score * merged.localization_scores[0] == pytest.approx(np.mean(products))


def test_two_cells_of_one_source_never_become_one() -> None:
    source = [cell(2, 2, 10, 10, 0.9, 0.8), cell(3, 2, 10, 10, 0.7, 0.2)]
    other = [cell(3, 2, 10, 10, 0.8, 0.5)]
    merged = merge_sources([source, other])
    assert len(merged) == 2
    assert merged[0].cell_score == pytest.approx(0.85)
    assert merged[1].cell_score == pytest.approx(0.35)


def test_a_cell_joins_the_one_that_it_overlaps_most() -> None:
    one = [cell(2, 2, 10, 10, 0.9, 0.1), cell(6, 2, 10, 10, 0.8, 0.2)]
    other = [cell(5, 2, 10, 10, 0.5, 0.3)]
    merged = merge_sources([one, other])
    assert [one.cell_score for one in merged] == pytest.approx([0.45, 0.65])


def test_nothing_found_anywhere() -> None:
    assert merge_sources([[], []]) == []


def test_scores_of_zero_weigh_alike() -> None:
    (merged,) = merge_sources([[cell(2, 2, 5, 5, 0, 0.2)], [cell(2, 2, 5, 5, 0, 0.4)]])
    assert merged.cell_score == 0
    assert merged.localization_scores[0] == pytest.approx(0.3)
