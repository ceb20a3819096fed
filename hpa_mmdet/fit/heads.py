"""The fit of the localization heads on cached features: dozens of epochs in seconds.

N: cells; B: images; D: length of a feature vector; K: classes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from hpa_mmdet.fit.exact import solve_heads
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.jobs.progress import progress

DEFAULT_EPOCHS = 50
_SOLVED_TOGETHER = 256  # images


def fit_heads(
    model: Any,
    cache: FeatureCache,
    epochs: int = DEFAULT_EPOCHS,
    lr: float = 3e-3,
    linear_lr: float = 3e-2,
    weight_decay: float = 1e-2,
    batch_images: int = 32,
    seed: int = 0,
    images: Tensor | None = None,
    few_images: int = 0,
    penalty: float = 5e-4,
) -> Sequence[tuple[int, dict[str, float]]]:
    """Fit the cell head and the image head of `model.localization` on cached features.

    Args:
        model: has `localization`, a `LocalizationBranch`, changed in place.
        cache: the training set's features.
        epochs: passes over all images.
        lr: highest learning rate of AdamW, one cycle.
        linear_lr: the same, of the heads' linear parts.
        weight_decay: of AdamW.
        batch_images: bags per step.
        seed: of the order of the bags and of dropout.
        images: numbers of the images to learn from; None for all.
        few_images: with at most so many images whose labels are weak, the heads are solved
            exactly (`solve_heads`) instead of by steps.
        penalty: of that solution: of the squared weights, for each feature, divided by the
            number of images.

    Returns:
        For each epoch its number and mean losses.
    """
    branch = model.localization
    device = next(branch.cell_head.parameters()).device
    numbers = torch.arange(len(cache.counts)) if images is None else images
    weak = numbers[torch.isin(numbers, cache.weak_images())]
    branch.cell_head.standardize.fit(part.cells for part in _shown_chunks(cache, weak))
    branch.image_head.standardize.fit(part.images for part in cache.chunks(weak))
    branch.loss_localization.measure_classes(cache.image_labels[weak].sum(0))
    if 0 < len(weak) <= few_images:
        losses = solve_heads(
            branch, lambda: _all_batches(cache, numbers, device), penalty / len(weak)
        )
        return [(1, losses)]
    groups = _rated_weights(branch, lr, linear_lr)
    optimizer = torch.optim.AdamW(groups, weight_decay=weight_decay)
    steps = -(-len(numbers) // batch_images)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=epochs * steps
    )
    generator = torch.Generator().manual_seed(seed)
    history: list[tuple[int, dict[str, float]]] = []
    branch.cell_head.train()
    branch.image_head.train()
    with (
        torch.random.fork_rng(devices=[] if device.type == "cpu" else None),
        progress("fit of the heads", epochs * len(numbers)) as advance,
    ):
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            sums: dict[str, float] = {}
            order = numbers[torch.randperm(len(numbers), generator=generator)]
            for chosen in order.split(batch_images):
                losses = branch.loss(**_batch(cache, chosen, device))
                optimizer.zero_grad()
                sum(losses.values()).backward()
                optimizer.step()
                schedule.step()
                advance(len(chosen))
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach()) / steps
            history.append((epoch, sums))
    branch.eval()
    return history


def _all_batches(
    cache: FeatureCache, numbers: Tensor, device: torch.device
) -> Iterator[tuple[float, dict[str, Tensor | None]]]:
    """Give all images in batches, each with its share of them."""
    for chosen in numbers.split(_SOLVED_TOGETHER):
        yield len(chosen) / len(numbers), _batch(cache, chosen, device)


def _shown_chunks(cache: FeatureCache, chosen: Tensor) -> Iterator[FeatureCache]:
    """Load some images chunk by chunk, and show how far that is."""
    with progress("statistics of the features", len(chosen)) as advance:
        for part in cache.chunks(chosen):
            yield part
            advance(len(part.counts))


def _rated_weights(branch: Any, lr: float, linear_lr: float) -> list[dict[str, Any]]:
    """Part the weights that the fit changes into those of linear layers and all others."""
    linear = [*branch.cell_head.linear_parameters(), *branch.image_head.linear_parameters()]
    known = {id(weight) for weight in linear}
    modules = (branch.cell_head, branch.image_head, branch.loss_localization)
    weights = [weight for module in modules for weight in module.parameters()]
    others = [weight for weight in weights if id(weight) not in known]
    groups = [{"params": linear, "lr": linear_lr}, {"params": others, "lr": lr}]
    return [group for group in groups if group["params"]]


def _batch(cache: FeatureCache, chosen: Tensor, device: torch.device) -> dict[str, Tensor | None]:
    """Arguments of `LocalizationBranch.loss` for the images chosen."""
    part = cache.select(chosen)
    has_reviewed = cache.reviewed is not None and bool(cache.reviewed.any())
    has_exact = cache.exact is not None and bool(cache.exact.any())
    arguments = {
        "cells": part.cells,
        "bag_index": torch.repeat_interleave(torch.arange(len(chosen)), part.counts),
        "images": part.images,
        "image_labels": part.image_labels,
        "cell_targets": part.cell_targets,
        "exact": part.exact if has_exact else None,
        "reviewed": part.reviewed if has_reviewed else None,
        "taught": part.taught,
    }
    return {name: None if value is None else value.to(device) for name, value in arguments.items()}
