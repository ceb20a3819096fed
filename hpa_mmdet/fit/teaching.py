"""Labels for the cells that nobody looked at, from heads that did not learn from their image.

Beside reviewed cells a bag says too little: its label is asked of some cell, and any will do. Heads
that learnt from other images' bags and reviewed cells tell the cells of a bag apart; what they say
of them, as probabilities and never against the image's labels, is learnt like a label.

Before that the reviewed cells correct what was said: a linear map of the features, as small as it
can be, is added to the logits so that they agree with the reviewers.

N: cells of the data set; D: length of a feature vector; K: classes.

Source:
    Self-training with soft labels: Xie et al., CVPR 2020, arXiv 1911.04252.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.fit.correction import correct_by_reviewed
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import DEFAULT_EPOCHS, fit_heads
from hpa_mmdet.fit.predictions import BagPrediction, predict_held_out
from hpa_mmdet.localizations import NEGATIVE


def has_reviewed_cells(cache: FeatureCache) -> bool:
    """Say whether a person looked at any cell whose image has weak labels."""
    return cache.reviewed is not None and bool(cache.reviewed[_weak_cells(cache)].any())


def fit_taught_heads(
    model: Any,
    cache: FeatureCache,
    folds: int,
    seed: int = 0,
    grouping: Grouping | None = None,
    **fit: Any,
) -> tuple[Sequence[tuple[int, dict[str, float]]], list[BagPrediction]]:
    """Fit heads where some cells are reviewed: in folds, then on what these say of the other cells.

    The folds' heads learn for half the epochs, and the last fit has no images with exact labels, for
    their part is in what the folds' heads say: in trials all of both scored the same.

    Args:
        model: has `localization`, changed in place.
        cache: with reviewed cells.
        folds: two or more, and no more than images.
        seed: of the folds and the fits.
        grouping: what is returned to choose by was said by heads that did not learn from an image's
            group either, such as its antibody; this takes as many fits more. Heads that teach may know
            the group: in a trial, 25 reviewed cells were worse than none where they did not.
        fit: arguments of `fit_heads`.

    Returns:
        The history of the last fit; what heads said of the images with reviewed cells that had
        not learnt from them, to choose exponents and thresholds by.
    """
    in_folds = {**fit, "epochs": max(1, int(fit.get("epochs", DEFAULT_EPOCHS)) // 2)}
    predicted = predict_held_out(model, cache, folds, seed, **in_folds)
    standardize = copy.deepcopy(model.localization.cell_head.standardize).cpu()
    taught = teach_others(cache, predicted, standardize)
    if grouping is not None:  # before the last fit, whose weights a fold would begin with
        predicted = predict_held_out(model, cache, folds, seed, grouping, **in_folds)
    history = fit_heads(model, taught, seed=seed, images=cache.weak_images(), **fit)
    return history, [bag for bag in predicted if bag.reviewed.any()]


def teach_others(
    cache: FeatureCache, predicted: Sequence[BagPrediction], standardize: Any
) -> FeatureCache:
    """Give the cells that are not reviewed the labels that were predicted for them, corrected.

    Args:
        cache: with reviewed cells.
        predicted: all images whose labels are not exact, in their order, by heads that did not
            learn from them.
        standardize: a `Standardize` of the cells' features, which is fitted here.

    Returns:
        The same features. `cell_targets` of the cells that are `taught` are p(k | cell), corrected
        by the reviewed cells, for the labels of their image, 0 for the others, and for Negative
        the product of 1 - p.
    """
    assert cache.cell_targets is not None
    assert cache.reviewed is not None
    weak = _weak_cells(cache)
    probs = torch.cat([bag.cells for bag in predicted])
    probs = correct_by_reviewed(cache, probs, cache.weak_images(), standardize)
    allowed = torch.cat([(bag.image_labels > 0.5).expand_as(bag.cells) for bag in predicted])
    soft = probs * allowed
    soft[:, NEGATIVE] = (1 - soft[:, :NEGATIVE]).prod(1)
    targets = cache.cell_targets.clone().float()
    taught = weak & ~cache.reviewed.bool()
    targets[taught] = soft[taught[weak]]
    return cache._replace(cell_targets=targets, taught=taught)


def _weak_cells(cache: FeatureCache) -> Tensor:
    """(N,) bool, cells of images whose labels are not exact."""
    is_weak = torch.zeros(len(cache.counts), dtype=torch.bool)
    is_weak[cache.weak_images()] = True
    return torch.repeat_interleave(is_weak, cache.counts)
