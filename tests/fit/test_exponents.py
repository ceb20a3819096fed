"""Exponents are chosen by what they do to cells, or to images where cells are not known."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hpa_mmdet.fit.exponents import choose_exponents
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.predictions import BagPrediction, predict_bags
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.models.localization_branch import LocalizationBranch


def chosen_exponents(
    fitted: SimpleNamespace, given: FeatureCache, **options: Any
) -> tuple[float, float, float]:
    return choose_exponents(fitted.localization, predict_bags(fitted, given), **options)


def model() -> SimpleNamespace:
    """Logit of class 0 is feature 0 of a cell; of the image head, of the image."""
    branch = LocalizationBranch(2, {"type": "BagLoss"}, hidden=0).eval()
    for head in (branch.cell_head, branch.image_head):
        layer = head.parts[0][-1]
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.constant_(layer.bias, -9.0)
        with torch.no_grad():
            layer.weight[0, 0] = 1.0
            layer.bias[0] = 0.0
    return SimpleNamespace(localization=branch)


def cache(shown: list[bool]) -> FeatureCache:
    """Cell scores alone are misleading; the first image's head says yes, the second's no."""
    cells = torch.tensor([[0.5, 0], [0.4, 0], [0.6, 0], [0.3, 0]])
    images = torch.tensor([[4.0, 0], [-4.0, 0]])
    labels = torch.zeros(2, 19)
    labels[0, 0] = 1
    targets = torch.zeros(4, 19)
    targets[:, 0] = torch.tensor(shown).float()
    return FeatureCache(cells, torch.tensor([2, 2]), images, labels, targets)


@pytest.mark.parametrize(
    ("shown", "chosen"),
    [
        pytest.param([True, False, False, False], (0.25, 0.0), id="the image's cell is the one"),
        pytest.param([False, False, True, False], (0.0, 0.0), id="the other image's cell is"),
    ],
)
def test_the_pair_that_ranks_best_is_kept(shown: list[bool], chosen: tuple[float, float]) -> None:
    fitted = model()
    a, b, score = chosen_exponents(fitted, cache(shown), cells_exponents=(0.0,))
    assert (a, b) == chosen
    assert score == pytest.approx(1.0)
    assert fitted.localization.exponents() == pytest.approx(chosen)


def test_images_can_be_asked_though_cells_are_known() -> None:
    given = cache([False, False, True, False])
    assert chosen_exponents(model(), given, cells_exponents=(0.0,), by_images=True)[0] == 0.25


def test_neighbours_can_be_what_decides() -> None:
    features = torch.tensor([[1.0, 0], [3.0, 0], [1.1, 0], [-3.0, 0]])
    targets = torch.zeros(4, 19)
    targets[:2, 0] = 1
    given = FeatureCache(
        features, torch.tensor([2, 2]), torch.zeros(2, 2), torch.eye(19)[[0, 5]], targets
    )
    fitted = model()
    _, b, score = chosen_exponents(fitted, given, image_exponents=(0.0,))
    assert b > 0
    assert score == pytest.approx(1.0)


def test_without_truth_of_cells_the_defaults_stay() -> None:
    fitted = model()
    a, b, score = chosen_exponents(fitted, cache([True, True, False, False]))
    assert (a, b) == (0.5, 1.0) == fitted.localization.exponents()
    assert math.isnan(score)


def test_images_without_cells_have_no_say() -> None:
    empty = FeatureCache(
        torch.zeros(1, 2), torch.tensor([0, 1]), torch.zeros(2, 2), torch.eye(19)[[3, 0]]
    )
    assert chosen_exponents(model(), empty, by_images=True)[2] == pytest.approx(1.0)


def noisy_bags(image_knows: bool) -> list[BagPrediction]:
    """Eight images of three cells: p(0 | cell) is noisy, or the image head alone is right."""
    rng = np.random.default_rng(10)
    bags = []
    for number in range(8):
        shown = rng.random(3) < 0.5
        probs = torch.full((3, 19), 0.01)
        noise = rng.normal(0, 0.2, 3)
        probs[:, 0] = torch.from_numpy((0.3 + 0.3 * shown + noise).clip(0.05, 0.95))
        if image_knows:
            shown[:] = number % 2
        targets = torch.zeros(3, 19)
        targets[:, 0], targets[:, NEGATIVE] = torch.from_numpy(shown), torch.from_numpy(~shown)
        image = torch.full((19,), 0.5)
        image[0] = 0.6 if number % 2 else 0.4
        none = torch.zeros(3, dtype=torch.bool)
        bags.append(BagPrediction(probs, image, torch.eye(19)[0], targets, none))
    return bags


def reviewed(bags: list[BagPrediction]) -> list[BagPrediction]:
    return [bag._replace(reviewed=torch.ones(3, dtype=torch.bool)) for bag in bags]


def test_few_reviewed_cells_do_not_let_the_image_head_win_by_chance() -> None:
    branch = model().localization
    best = choose_exponents(branch, noisy_bags(image_knows=False))
    assert best[0] == 1  # by chance
    chosen = choose_exponents(branch, reviewed(noisy_bags(image_knows=False)))
    assert chosen[:2] == branch.exponents() == (0, 1.5)
    assert 0.95 * best[2] < chosen[2] < best[2]


def test_an_image_head_that_knows_more_is_believed_by_few_cells_too() -> None:
    bags = reviewed(noisy_bags(image_knows=True))
    assert choose_exponents(model().localization, bags, cells_exponents=(0.0,))[0] > 0


def test_nothing_is_chosen_where_no_known_cell_shows_anything() -> None:
    bags = [bag._replace(cell_targets=torch.zeros(3, 19)) for bag in reviewed(noisy_bags(False))]
    branch = model().localization
    assert choose_exponents(branch, bags)[:2] == branch.exponents() == (0.5, 1.0)
