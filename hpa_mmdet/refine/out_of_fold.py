"""Predictions of every cell by a model that never saw its image.

N: cells of a data set; B: its images; K = 19 localizations.
"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads


def predict_out_of_fold(
    model: Any,
    cache: FeatureCache,
    fold_of: NDArray[np.intp],
    fit: dict[str, Any],
    seed: int = 0,
    report: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Fit the heads once per fold on the other folds' images and predict the fold's cells.

    Args:
        model: has `localization`; a copy of it is fitted for each fold.
        cache: features of all images.
        fold_of: (B,) fold of each image.
        fit: arguments of `fit_heads`.
        seed: of the first fold's fit; the others follow it.
        report: is called with the number of each fold that is done.

    Returns:
        (N, K) p(k | cell), the last column derived or learnt as the branch says; the image
        head has no part in it, since the image's labels are known.
    """
    probs = np.zeros((len(cache.cells), cache.image_labels.shape[1]))
    image_of = np.repeat(np.arange(len(cache.images)), cache.counts.numpy())
    for fold in np.unique(fold_of):
        fitted = copy.deepcopy(model)
        others = torch.from_numpy(np.flatnonzero(fold_of != fold))
        fit_heads(fitted, cache.select(others), seed=seed + int(fold), **fit)
        inside = fold_of[image_of] == fold
        with torch.no_grad():
            found = fitted.localization.cell_head.probabilities(
                cache.cells[torch.from_numpy(inside)]
            )
        probs[inside] = found.numpy()
        if report is not None:
            report(int(fold))
    return probs
