"""Thresholds of calls are chosen on weighed scores, by what the cells are taken to show."""

from types import SimpleNamespace

import numpy as np
import torch

from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.predictions import predict_bags
from hpa_mmdet.fit.thresholds import choose_thresholds
from hpa_mmdet.models.localization_branch import LocalizationBranch


def chosen_thresholds(fitted: SimpleNamespace, given: FeatureCache) -> np.ndarray:
    return choose_thresholds(fitted.localization, predict_bags(fitted, given))


def model() -> SimpleNamespace:
    """Logit of class 0 is feature 0 of a cell; all else is never shown."""
    branch = LocalizationBranch(2, {"type": "BagLoss"}, hidden=0, image_exponent=0.0).eval()
    layer = branch.cell_head.parts[0][-1]
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(layer.bias, -9.0)
    with torch.no_grad():
        layer.weight[0, 0], layer.bias[0] = 1.0, 0.0
    return SimpleNamespace(localization=branch)


def cache(exact: torch.Tensor | None = None) -> FeatureCache:
    """One image that has class 0, in the first of three cells; one that has it in none."""
    cells = torch.tensor([[3.0, 0], [-3.0, 0], [-4.0, 0], [-2.0, 0], [-1.0, 0]])
    labels = torch.zeros(2, 19)
    labels[0, 0] = 1
    return FeatureCache(cells, torch.tensor([3, 2]), torch.zeros(2, 2), labels, exact=exact)


def test_weighed_scores_are_called_as_the_cells_show() -> None:
    fitted, given = model(), cache()
    chosen = chosen_thresholds(fitted, given)
    with torch.no_grad():
        bags = given.cells.split([3, 2])
        scores = torch.cat(
            [fitted.localization.predict(cells, torch.zeros(2))[0] for cells in bags]
        ).numpy()
    assert scores[0, 0] < 0.95 * float(torch.sigmoid(given.cells[0, 0]))  # it is weighed
    assert (scores[:, 0] >= chosen[0]).tolist() == [True, False, False, False, False]
    assert (scores[:, 18] >= chosen[18]).tolist() == [False, True, True, True, True]


def test_a_label_is_shown_by_the_likeliest_cell_at_least() -> None:
    given = cache()._replace(image_labels=torch.eye(19)[[1, 0]])
    chosen = chosen_thresholds(model(), given)
    # class 0: the last cell at p = 0.27; its score is the mean of p and its image's mean
    p = torch.sigmoid(torch.tensor([-2.0, -1.0]))
    low, high = ((p * p.mean()) ** 0.5).tolist()
    assert low < chosen[0] <= high


def test_classes_without_images_and_sets_without_cells_are_called_from_a_half_on() -> None:
    assert chosen_thresholds(model(), cache())[5] == 0.5
    empty = cache()._replace(cells=torch.zeros(0, 2), counts=torch.tensor([0, 0]))
    np.testing.assert_array_equal(chosen_thresholds(model(), empty), np.full(19, 0.5))


def test_images_with_exact_labels_have_no_part() -> None:
    alone = chosen_thresholds(model(), cache(torch.tensor([False, True])))
    first = cache().select(torch.tensor([0]))
    np.testing.assert_array_equal(alone, chosen_thresholds(model(), first))
