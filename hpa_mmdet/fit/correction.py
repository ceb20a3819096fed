"""Predictions corrected by the cells that a person looked at.

N: cells of the weak images; n: reviewed ones; D: length of a feature vector; K: classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hpa_mmdet.fit.feature_cache import FeatureCache

_STRENGTH = 0.01  # of the penalty, for each feature
_BIAS_STRENGTH = 0.5
_STEPS = 60


def correct_by_reviewed(
    cache: FeatureCache, probs: Tensor, images: Tensor, standardize: Any
) -> Tensor:
    """Add a linear map of the features to the logits, so that they agree with the reviewers.

    The map is as small as it can be: it minimizes the cross-entropy over the reviewed cells and
    the squares of its weights, so it says something of cells that look alike and nothing of others.

    Args:
        cache: with reviewed cells.
        probs: (N, K) p(k | cell) by heads that did not learn from the cell's image.
        images: numbers of the images that they belong to, in their order.
        standardize: a `Standardize` of D features, which is fitted here.

    Returns:
        (N, K) corrected.

    Source:
        Ridge-penalized logistic regression with an offset: le Cessie and van Houwelingen,
        Applied Statistics 41, 1992.
    """
    assert cache.cell_targets is not None
    assert cache.reviewed is not None
    rows = cache.rows_of(images)
    reviewed = cache.reviewed[rows].bool()
    standardize.fit(part.cells for part in cache.chunks(images))
    logits = torch.logit(probs.clamp(1e-4, 1 - 1e-4))
    weights, bias = _fit_map(
        standardize(cache.cells[rows[reviewed]].float()),
        logits[reviewed],
        cache.cell_targets[rows[reviewed]].float(),
    )
    maps = [standardize(part.cells.float()) @ weights for part in cache.chunks(images)]
    return torch.sigmoid(logits + torch.cat(maps) + bias)


def _fit_map(features: Tensor, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(D, K) weights and (K,) bias from (n, D) features, (n, K) logits and targets."""
    weights = torch.zeros(features.shape[1], logits.shape[1], requires_grad=True)
    bias = torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=_STEPS, history_size=10)
    penalty = _STRENGTH * features.shape[1]

    def loss() -> float:
        optimizer.zero_grad()
        value = F.binary_cross_entropy_with_logits(
            logits + features @ weights + bias, targets, reduction="sum"
        )
        value = value + penalty / 2 * weights.square().sum()
        value = value + _BIAS_STRENGTH * bias.square().sum()
        value.backward()
        return float(value.detach())

    with torch.enable_grad():
        optimizer.step(loss)
    return weights.detach(), bias.detach()
