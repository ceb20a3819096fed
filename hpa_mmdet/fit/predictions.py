"""What fitted heads say of the cells of a cache, also of cells that they learnt from.

n: cells of an image; K: classes.
"""

import copy
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hpa_mmdet.coco.folds import Grouping, part_in_folds
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads


class BagPrediction(NamedTuple):
    """One image.

    `cells` (n, K) p(k | cell) and `image` (K,) p(k | image) of the heads alone; `image_labels`
    (K,); `cell_targets` (n, K) what the data set says of each cell, or None; `reviewed` (n,)
    bool, where a person said it.
    """

    cells: Tensor
    image: Tensor
    image_labels: Tensor
    cell_targets: Tensor | None
    reviewed: Tensor


@torch.no_grad()
def predict_bags(
    model: Any, cache: FeatureCache, chosen: Tensor | None = None
) -> list[BagPrediction]:
    """Predict the cells of some images.

    Args:
        model: has `localization`, a fitted `LocalizationBranch`.
        cache: features.
        chosen: numbers of images; None for all whose labels are not exact.
    """
    branch = model.localization
    device = branch.chosen_exponents.device
    images = cache.weak_images() if chosen is None else chosen
    rows = cache.rows_of(images).split(cache.counts[images].tolist())
    found = []
    for (cells, image), own, number in zip(cache.bags(images), rows, images.tolist(), strict=True):
        none = torch.zeros(len(own), dtype=torch.bool)
        found.append(
            BagPrediction(
                branch.cell_head.probabilities(cells.to(device)).cpu(),
                branch.image_head.probabilities(image[None].to(device))[0].cpu(),
                cache.image_labels[number],
                None if cache.cell_targets is None else cache.cell_targets[own],
                none if cache.reviewed is None else cache.reviewed[own].bool(),
            )
        )
    return found


def predict_held_out(
    model: Any,
    cache: FeatureCache,
    folds: int,
    seed: int = 0,
    grouping: Grouping | None = None,
    **fit: Any,
) -> list[BagPrediction]:
    """Predict all images by heads that did not learn from them, nor from others of their group.

    The heads are fitted once per fold on the images of the others.

    Args:
        model: has `localization`; it stays as it is.
        cache: features of the training set.
        folds: two or more.
        seed: of the folds and the fits.
        grouping: images of one group are in one fold; None leaves each by itself.
        fit: arguments of `fit_heads`.

    Returns:
        The images whose labels are not exact, in their order.
    """
    fold_of = _folds(cache, folds, seed, grouping)
    weak = cache.weak_images()
    found: dict[int, BagPrediction] = {}
    for fold in range(folds):
        held_out = (fold_of == fold).nonzero()[:, 0]
        others = (fold_of != fold).nonzero()[:, 0]
        fitted = SimpleNamespace(localization=copy.deepcopy(model.localization))
        fit_heads(fitted, cache, seed=seed, images=others, **fit)
        asked = held_out[torch.isin(held_out, weak)]
        found |= zip(asked.tolist(), predict_bags(fitted, cache, asked), strict=True)
    return [found[image] for image in sorted(found)]


def _folds(cache: FeatureCache, folds: int, seed: int, grouping: Grouping | None) -> Tensor:
    """(B,) int64, the fold of each image."""
    if grouping is not None:
        groups = grouping.groups_of(cache.hpa_ids)
        return torch.from_numpy(part_in_folds(groups, folds, seed))
    fold_of = torch.empty(len(cache.counts), dtype=torch.long)
    order = torch.randperm(len(cache.counts), generator=torch.Generator().manual_seed(seed))
    fold_of[order] = torch.arange(len(order)) % folds
    return fold_of
