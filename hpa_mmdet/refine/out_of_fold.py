"""Predictions of every cell by a model that never saw its image.

N: cells of a data set; B: its images; K = 19 localizations.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads


def part_in_folds(groups: Sequence[str], folds: int, seed: int) -> NDArray[np.intp]:
    """Give each image a fold, all images of one group the same.

    Args:
        groups: (B,) what must not be parted, such as the antibody; else the image itself.
        folds: F, at least two.
        seed: of the order of the groups.

    Returns:
        (B,) 0..F-1; folds differ by as little as the groups allow.

    Raises:
        InputError: there are fewer groups than folds, or fewer than two folds.
    """
    names, sizes = np.unique(np.asarray(groups, dtype=np.str_), return_counts=True)
    if folds < 2 or len(names) < folds:
        raise InputError(
            "--folds", folds, f"2 to {len(names)}, the number of images or groups", "change it"
        )
    rng = np.random.default_rng(seed)
    filled = np.zeros(folds, dtype=np.intp)
    fold_of: dict[str, int] = {}
    shuffled = rng.permutation(len(names))
    for each in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold = int(filled.argmin())
        fold_of[str(names[each])] = fold
        filled[fold] += sizes[each]
    return np.array([fold_of[str(name)] for name in groups], dtype=np.intp)


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
