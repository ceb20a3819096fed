"""Rows of bench_real_pixels.py: nearest neighbours and fitted heads, out of fold, scored.

B: pictures; D: length of a feature vector; K = 19.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from real_pixel_data import Features

from hpa_mmdet.coco.stratify import assign_folds
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.models.localization_branch import LocalizationBranch
from hpa_mmdet.models.localization_head import Standardize
from hpa_mmdet.scoring.images import pool_class_scores
from hpa_mmdet.scoring.resampling import (
    Estimate,
    class_average_precisions,
    mean_of_known,
    resample_images,
    with_range,
)

Scores = NDArray[np.float64]  # (B, K)
LAST_MAP = slice(-2 * 320, None)  # means and maxima of the coarsest map
SHARPNESS = 10.0  # of likeness where it multiplies a probability
FOLDS = 5


@dataclass(frozen=True)
class Fit:
    """How heads are fitted: a loss, and whether they see the coarsest map alone."""

    loss: Mapping[str, Any]
    coarsest: bool = False


def folds_of(features: Features, seed: int) -> NDArray[np.intp]:
    """(B,) folds with every label shared out; equal pictures stay together."""
    label_sets = [np.flatnonzero(row).tolist() for row in features.truth()]
    return assign_folds(label_sets, features.groups, [1 / FOLDS] * FOLDS, seed)


def retrieve(pictures: torch.Tensor, truth: NDArray[np.bool_], fold_of: NDArray[np.intp]) -> Scores:
    """The score of a class is the likeness of the most similar training picture that has it.

    Args:
        pictures: (B, D) features.
        truth: (B, K).
        fold_of: (B,).

    Returns:
        (B, K) cosine of standardized features, -1 where no training picture has the class.
    """
    scores = np.full(truth.shape, -1.0)
    for fold in np.unique(fold_of):
        inside = fold_of == fold
        scale = Standardize(pictures.shape[1])
        scale.fit([pictures[torch.from_numpy(~inside)]])
        unit = torch.nn.functional.normalize(scale(pictures), dim=1).double().numpy()
        likeness = unit[inside] @ unit[~inside].T
        for k in range(truth.shape[1]):
            has = truth[~inside, k]
            if has.any():
                scores[inside, k] = likeness[:, has].max(axis=1)
    return scores


def mean_of_cells(cache: FeatureCache) -> torch.Tensor:
    """(B, D) mean over the instances of each picture."""
    return torch.stack([cells.mean(0) for cells in cache.cells.split(cache.counts.tolist())])


def fit_out_of_fold(
    cache: FeatureCache, fit: Fit, fold_of: NDArray[np.intp], seed: int
) -> dict[str, Scores]:
    """Scores of pictures by heads that never saw them: cells pooled, and the image head."""
    if fit.coarsest:
        cache = cache._replace(cells=cache.cells[:, LAST_MAP], images=cache.images[:, LAST_MAP])
    shape = (len(cache.images), cache.image_labels.shape[1])
    scores = {name: np.zeros(shape) for name in ("mean", "max", "image head")}
    for fold in np.unique(fold_of):
        torch.manual_seed(seed)
        branch = LocalizationBranch(cache.cells.shape[1], dict(fit.loss)).eval()
        outside = torch.from_numpy(np.flatnonzero(fold_of != fold))
        inside = torch.from_numpy(np.flatnonzero(fold_of == fold))
        model = SimpleNamespace(localization=branch)
        training = cache.select(outside)
        fit_heads(model, training, seed=seed)
        held_out = cache.select(inside)
        bags = zip(inside, held_out.cells.split(held_out.counts.tolist()), held_out.images,
                   strict=True)  # fmt: skip
        for row, cells, image in bags:
            with torch.no_grad():
                of_cells, of_image = branch.predict(cells, image)
            for pooling in ("mean", "max"):
                scores[pooling][row] = pool_class_scores(of_cells.double().numpy(), pooling)
            scores["image head"][row] = of_image.double().numpy()
    return scores


def mix(probs: Scores, likeness: Scores) -> Scores:
    """Multiply probabilities by a likeness of -1 to 1, sharpened."""
    return np.asarray(probs * np.exp(SHARPNESS * (likeness - 1)))


def compare(
    truth: NDArray[np.bool_], scores: list[Scores], base: list[Scores] | None, resamples: int
) -> tuple[Estimate, Estimate]:
    """Mean AP over the seeds with its range, and the difference from a base, likewise.

    Args:
        truth: (B, K).
        scores: (B, K) for each seed.
        base: likewise, drawn with the same resamples; None to compare with nothing.
        resamples: draws of the pictures.
    """
    nothing: list[Scores] = []

    def mean_ap(of_seeds: list[Scores], weights: Any = None) -> NDArray[np.float64]:
        by_seed = [class_average_precisions(truth, one, weights) for one in of_seeds]
        return np.array([mean_of_known(ap) for ap in np.mean(by_seed, axis=0)])

    drawn: dict[str, list[float]] = {"own": [], "difference": []}
    other: Callable[[Any], Any] = lambda w: mean_ap(base, w) if base else 0.0  # noqa: E731
    for weights in resample_images(np.arange(len(truth)), resamples, seed=0):
        own = mean_ap(scores, weights)
        drawn["own"] += own.tolist()
        drawn["difference"] += (own - other(weights)).tolist()
    value = float(mean_ap(scores)[0])
    gain = value - float(mean_ap(base or nothing)[0]) if base else float("nan")
    return with_range(value, drawn["own"]), with_range(gain, drawn["difference"])


def nearest_right(truth: NDArray[np.bool_], scores: list[Scores]) -> float:
    """Share of pictures whose highest class is one of theirs, over the seeds."""
    rows = np.arange(len(truth))
    return float(
        np.mean([truth[rows, seed_scores.argmax(axis=1)].mean() for seed_scores in scores])
    )
