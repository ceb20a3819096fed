"""The heads solved exactly: sklearn's minimum, chunks without effect, steps where images are many."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from hpa_mmdet.fit import heads
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.models.localization_branch import LocalizationBranch

IMAGES, CELLS, DIM, SHOWN = 12, 5, 7, 3
PENALTY = 0.02


def _cache() -> FeatureCache:
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(IMAGES, 19)
    labels[torch.arange(IMAGES), torch.arange(IMAGES) % 2 * SHOWN] = 1
    targets = labels.repeat_interleave(CELLS, 0)
    cells = torch.randn(IMAGES * CELLS, DIM, generator=generator)
    cells[:, 0] += 2 * targets[:, SHOWN]
    images = cells.view(IMAGES, CELLS, DIM).mean(1)
    return FeatureCache(cells, torch.full((IMAGES,), CELLS), images, labels, targets)


def _fitted(cache: FeatureCache, few_images: int, **options: object) -> tuple[object, object]:
    torch.manual_seed(0)
    branch = LocalizationBranch(DIM, {"type": "InheritedLoss"}, hidden=(0,))
    history = fit_heads(
        SimpleNamespace(localization=branch),
        cache,
        epochs=2,
        few_images=few_images,
        penalty=PENALTY,
        **options,  # type: ignore[arg-type]
    )
    return branch, history


def test_a_linear_head_is_the_ridge_penalized_logistic_regression() -> None:
    cache = _cache()
    branch, history = _fitted(cache, few_images=IMAGES)
    features = branch.cell_head.standardize(cache.cells).numpy()  # type: ignore[attr-defined]
    shown = cache.cell_targets[:, SHOWN].numpy()  # type: ignore[index]
    # sklearn: C * sum of the losses + squares / 2; here: their mean + penalty * D / B * squares / 2
    strength = 1 / (len(shown) * PENALTY * DIM / IMAGES)
    expected = LogisticRegression(C=strength, tol=1e-8, max_iter=2000).fit(features, shown)
    layer = branch.cell_head.parts[0][1]  # type: ignore[attr-defined]
    np.testing.assert_allclose(layer.weight[SHOWN].detach(), expected.coef_[0], atol=2e-3)
    np.testing.assert_allclose(layer.bias[SHOWN].detach(), expected.intercept_, atol=2e-3)
    assert len(history) == 1  # type: ignore[arg-type]
    assert set(history[0][1]) == {"loss_localization", "loss_image"}  # type: ignore[index]
    assert not branch.training  # type: ignore[attr-defined]


def test_the_solution_does_not_depend_on_how_many_images_are_read_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = _cache()
    whole, _ = _fitted(cache, few_images=IMAGES)
    monkeypatch.setattr(heads, "_SOLVED_TOGETHER", 5)
    parts, _ = _fitted(cache, few_images=IMAGES)
    said = [
        branch.cell_head.probabilities(cache.cells)  # type: ignore[attr-defined]
        for branch in (whole, parts)
    ]
    torch.testing.assert_close(*said, atol=5e-3, rtol=0)


def test_more_images_than_few_are_fitted_by_steps() -> None:
    _, history = _fitted(_cache(), few_images=IMAGES - 1)
    assert [epoch for epoch, _ in history] == [1, 2]  # type: ignore[attr-defined]
