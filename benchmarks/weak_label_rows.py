"""Rows of bench_weak_labels.py: what each learns from, how, and how it is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from weak_label_data import Split

from hpa_mmdet.coco.folds import part_in_folds
from hpa_mmdet.fit.exponents import choose_exponents
from hpa_mmdet.fit.feature_cache import FeatureCache, join_caches
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.fit.predictions import predict_bags
from hpa_mmdet.models.localization_branch import LocalizationBranch
from hpa_mmdet.refine.out_of_fold import predict_out_of_fold
from hpa_mmdet.refine.relabel import EXPECTED_SHARE, assign_labels
from hpa_mmdet.scoring.resampling import class_average_precisions

BASE, BOUND, BEST = "inherited", "true labels of cells", "best combination"
HEADS = {"hidden layer alone": (256,), "linear alone": (0,)}


@dataclass(frozen=True)
class Row:
    """One way of learning.

    Args:
        name: in the table.
        loss: config of a localization loss.
        negative: how the branch makes p(Negative).
        image_exponent: of the image head's probability.
        cells_exponent: of the mean over the image's cells.
        exact_weight: of the loss of channels that stand in for the protein; 0: none.
        rounds: of refinement; the first starts from `loss`, all end in `CellLoss`.
        shares: that refined labels are moved to; None leaves the probabilities.
        hidden: parts of the heads.
        choose: exponents on a fifth of the training antibodies, which the heads of the
            choice have not seen, by their true "cells" or by the labels of their "images";
            then all are fitted.
    """

    name: str
    loss: Mapping[str, Any]
    negative: str = "learnt"
    image_exponent: float = 0.0
    cells_exponent: float = 0.0
    exact_weight: float = 0.0
    rounds: int = 0
    shares: Sequence[float] | None = EXPECTED_SHARE
    hidden: tuple[int, ...] = (0, 256)
    choose: str = ""


def bag(pooling: str, **more: Any) -> dict[str, Any]:
    return {"type": "BagLoss", "pooling": pooling, **more}


INHERITED = {"type": "InheritedLoss"}
FOCAL = {"type": "AsymmetricInheritedLoss", "positive_focus": 2.0, "negative_focus": 2.0}
CELLS = {"type": "CellLoss"}
MEAN, LSE = bag("mean"), bag("log_sum_exp")
POOLINGS = {
    "mean": MEAN,
    "log-sum-exp": LSE,
    "noisy-or": bag("noisy_or"),
    "attention": bag("attention"),
    "top half": bag("top_share"),
}
_DERIVED = Row("log-sum-exp, derived Negative", LSE, "derived")
_BEST = replace(_DERIVED, name=BEST, image_exponent=0.5, cells_exponent=1.0, exact_weight=0.2)
ROWS: tuple[Row, ...] = (
    Row(BOUND, CELLS),
    Row(BASE, INHERITED),
    Row("inherited, smoothed 0.1", {**INHERITED, "label_smoothing": 0.1}),
    Row("inherited, class weights", {**INHERITED, "balance": 0.99}),
    Row("focal", {**FOCAL, "margin": 0.0}),
    Row("asymmetric", {"type": "AsymmetricInheritedLoss"}),
    *(Row(name, loss) for name, loss in POOLINGS.items()),
    Row("inherited, derived Negative", INHERITED, "derived"),
    *(Row(f"{name}, derived Negative", loss, "derived") for name, loss in POOLINGS.items()),
    *(Row(f"{name}, derived Negative, image head ^0.5", loss, "derived", 0.5)
      for name, loss in (("inherited", INHERITED), ("mean", MEAN), ("log-sum-exp", LSE))),
    *(Row(f"{name}, derived Negative, image's cells ^1", loss, "derived", 0.0, 1.0)
      for name, loss in (("inherited", INHERITED), ("mean", MEAN), ("log-sum-exp", LSE))),
    *(Row(f"{name}, derived Negative, substitution", loss, "derived", exact_weight=0.2)
      for name, loss in (("inherited", INHERITED), ("mean", MEAN), ("log-sum-exp", LSE))),
    replace(_DERIVED, name=f"{_DERIVED.name}, refined to shares", rounds=1),
    replace(_DERIVED, name=f"{_DERIVED.name}, refined", rounds=1, shares=None),
    _BEST,
    replace(_BEST, name=f"{BEST}, without the image head", image_exponent=0.0),
    replace(_BEST, name=f"{BEST}, without the image's cells", cells_exponent=0.0),
    replace(_BEST, name=f"{BEST}, without substitution", exact_weight=0.0),
    replace(_BEST, name=f"{BEST}, mean pooling", loss=MEAN),
    replace(_BEST, name=f"{BEST}, refined", rounds=1, shares=None),
    replace(_BEST, name=f"{BEST}, exponents chosen", choose="cells"),
    replace(_BEST, name=f"{BEST}, exponents chosen by image labels", choose="images"),
    *(replace(row, name=f"{row.name}, {head}", hidden=hidden)
      for head, hidden in HEADS.items()
      for row in (Row(BOUND, CELLS), Row(BASE, INHERITED), _BEST)),
)  # fmt: skip


def fit_and_score(
    row: Row, train: Split, test: Split, seed: int
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Fit a row; give the (K,) average precisions over the test cells, and notes."""
    cache = train.cells
    loss = dict(row.loss)
    note: dict[str, Any] = {}
    for turn in range(row.rounds):
        model = _model(row, loss, cache, seed)
        folds = part_in_folds(train.groups, 5, seed * 10 + turn)
        probs = predict_out_of_fold(model, cache, folds, {}, seed * 100 + turn * 10)
        cache = cache._replace(cell_targets=_assigned(cache, probs, row))
        loss = CELLS
    if row.choose:
        row, note["exponents"] = _choose(row, loss, cache, train, seed)
    model = _fitted(row, loss, cache, train, seed)
    return class_average_precisions(test.truth(), predict(model.localization, test.cells))[0], note


def _choose(
    row: Row, loss: dict[str, Any], cache: FeatureCache, train: Split, seed: int
) -> tuple[Row, list[float]]:
    held_out = torch.from_numpy(part_in_folds(train.groups, 5, seed) == 0)
    model = _fitted(row, loss, cache.select((~held_out).nonzero()[:, 0]), train, seed)
    validation = cache.select(held_out.nonzero()[:, 0])
    image, cells, _ = choose_exponents(
        model.localization, predict_bags(model, validation), by_images=row.choose == "images"
    )
    return replace(row, image_exponent=image, cells_exponent=cells), [image, cells]


def fit_row(row: Row, train: Split, seed: int) -> Any:
    """Fit a row without refinement; the result has its `localization`."""
    return _fitted(row, dict(row.loss), train.cells, train, seed)


def _fitted(row: Row, loss: dict[str, Any], cache: FeatureCache, train: Split, seed: int) -> Any:
    if row.exact_weight and train.exact is not None:
        known = set(cache.hpa_ids)
        chosen = [number for number, hpa_id in enumerate(train.exact.hpa_ids) if hpa_id in known]
        cache = join_caches([cache, train.exact.select(torch.tensor(chosen))])
    model = _model(row, loss, cache, seed)
    fit_heads(model, cache, seed=seed)
    return model


def _model(row: Row, loss: dict[str, Any], cache: FeatureCache, seed: int) -> Any:
    torch.manual_seed(seed)
    branch = LocalizationBranch(
        cache.cells.shape[1],
        loss,
        negative=row.negative,
        hidden=row.hidden,
        image_exponent=row.image_exponent,
        cells_exponent=row.cells_exponent,
        exact_loss_weight=row.exact_weight,
    )
    return SimpleNamespace(localization=branch.eval())


def _assigned(cache: FeatureCache, probs: NDArray[np.float64], row: Row) -> torch.Tensor:
    parts = np.split(probs, np.cumsum(cache.counts.numpy())[:-1])
    labels = [np.flatnonzero(present) for present in cache.image_labels.numpy()]
    assigned = [
        assign_labels(part, shown, row.shares) for part, shown in zip(parts, labels, strict=True)
    ]
    return torch.from_numpy(np.concatenate(assigned)).float()


@torch.no_grad()
def predict(branch: LocalizationBranch, cache: FeatureCache) -> NDArray[np.float64]:
    """(N, K) scores of all cells."""
    bags = zip(cache.cells.split(cache.counts.tolist()), cache.images, strict=True)
    return torch.cat([branch.predict(*bag)[0] for bag in bags]).double().numpy()


def inherited_scores(test: Split) -> dict[str, float]:
    """What the images' true labels are worth, given to each of their cells."""
    labels = test.cells.image_labels.numpy().astype(float)
    sure = labels[test.image_of()]
    share = (labels / labels.sum(1, keepdims=True))[test.image_of()]
    ap = {
        "true image labels, confidence 1": sure,
        "true image labels, confidence 1 / number": share,
    }
    return {
        name: mean_ap(class_average_precisions(test.truth(), scores)[0])
        for name, scores in ap.items()
    }


def mean_ap(ap: NDArray[np.float64]) -> float:
    return round(float(np.nanmean(ap)), 4)
