"""Rows of bench_weak_labels.py: what each learns from, how, and how it is scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from weak_label_data import Split

from hpa_mmdet.hooks.feature_cache import FeatureCache, join_caches
from hpa_mmdet.hooks.fit_heads import fit_heads
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.models.localization_branch import LocalizationBranch
from hpa_mmdet.refine.out_of_fold import part_in_folds, predict_out_of_fold
from hpa_mmdet.refine.relabel import deal_labels, harden
from hpa_mmdet.scoring.resampling import class_average_precisions

BASE, BOUND = "inherited", "true labels of cells"


@dataclass(frozen=True)
class Row:
    """One way of learning.

    Args:
        name: in the table.
        loss: config of a localization loss.
        negative: how the branch makes p(Negative).
        exponent: of the image head's probability.
        exact_weight: of the loss of channels that stand in for the protein; 0: none.
        rounds: of refinement; the first starts from `loss`, all end in `CellLoss`.
        soft: whether refined labels are probabilities.
        fit: other arguments of `fit_heads`.
    """

    name: str
    loss: Mapping[str, Any]
    negative: str = "learnt"
    exponent: float = 0.0
    exact_weight: float = 0.0
    rounds: int = 0
    soft: bool = True
    fit: Mapping[str, Any] = field(default_factory=dict)


def bag(pooling: str, **more: Any) -> dict[str, Any]:
    return {"type": "BagLoss", "pooling": pooling, **more}


INHERITED = {"type": "InheritedLoss"}
CELLS = {"type": "CellLoss"}
POOLINGS = {
    "mean": bag("mean"),
    "log-sum-exp": bag("log_sum_exp"),
    "noisy-or": bag("noisy_or"),
    "attention": bag("attention"),
    "top half": bag("top_share"),
}
ROWS: tuple[Row, ...] = (
    Row(BOUND, CELLS),
    Row(BOUND + ", derived Negative", CELLS, negative="derived"),
    Row(BASE, INHERITED),
    Row("inherited, smoothed 0.1", {**INHERITED, "label_smoothing": 0.1}),
    Row("focal", {"type": "AsymmetricInheritedLoss", "positive_focus": 2.0, "negative_focus": 2.0,
                  "margin": 0.0}),
    Row("asymmetric", {"type": "AsymmetricInheritedLoss"}),
    Row("inherited, class weights", {**INHERITED, "balance": 0.99}),
    *(Row(f"{name} pooling", loss) for name, loss in POOLINGS.items()),
    Row("inherited, derived Negative", INHERITED, negative="derived"),
    *(Row(f"{name} pooling, derived Negative", loss, negative="derived")
      for name, loss in POOLINGS.items()),
    *(Row(f"mean pooling, derived Negative, image head ^{a}", POOLINGS["mean"], "derived", a)
      for a in (0.25, 0.5, 1.0)),
    Row("inherited, derived Negative, image head ^0.5", INHERITED, "derived", 0.5),
    Row("mean pooling, derived Negative, substitution", POOLINGS["mean"], "derived", 0.0, 1.0),
    Row("mean pooling, derived Negative, refined", POOLINGS["mean"], "derived", rounds=1),
)  # fmt: skip


def fit_and_score(row: Row, train: Split, test: Split, seed: int) -> NDArray[np.float64]:
    """Fit a row and give the (K,) average precisions over the test cells."""
    cache = train.cells
    loss = dict(row.loss)
    for turn in range(row.rounds):
        model = _model(row, loss, cache, seed)
        folds = part_in_folds(train.groups, 5, seed * 10 + turn)
        probs = predict_out_of_fold(model, cache, folds, dict(row.fit), seed * 100 + turn * 10)
        cache = cache._replace(cell_targets=_dealt(cache, probs, row.soft))
        loss = CELLS
    if row.exact_weight and train.exact is not None:
        cache = join_caches([cache, train.exact])
    model = _model(row, loss, cache, seed)
    fit_heads(model, cache, seed=seed, **row.fit)
    return class_average_precisions(test.truth(), predict(model.localization, test.cells))[0]


def _model(row: Row, loss: dict[str, Any], cache: FeatureCache, seed: int) -> Any:
    torch.manual_seed(seed)
    branch = LocalizationBranch(
        cache.cells.shape[1],
        loss,
        negative=row.negative,
        image_exponent=row.exponent,
        exact_loss_weight=row.exact_weight,
    )
    return SimpleNamespace(localization=branch.eval())


def _dealt(cache: FeatureCache, probs: NDArray[np.float64], soft: bool) -> torch.Tensor:
    parts = np.split(probs, np.cumsum(cache.counts.numpy())[:-1])
    labels = [np.flatnonzero(each) for each in cache.image_labels.numpy()]
    dealt = [deal_labels(*each) for each in zip(parts, labels, strict=True)]
    if not soft:
        dealt = [harden(*each) for each in zip(dealt, labels, strict=True)]
    return torch.from_numpy(np.concatenate(dealt)).float()


@torch.no_grad()
def predict(branch: LocalizationBranch, cache: FeatureCache) -> NDArray[np.float64]:
    """(N, K) scores of all cells."""
    bags = zip(cache.cells.split(cache.counts.tolist()), cache.images, strict=True)
    return torch.cat([branch.predict(*each)[0] for each in bags]).double().numpy()


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
        name: mean_ap(class_average_precisions(test.truth(), each)[0]) for name, each in ap.items()
    }


def mean_ap(ap: NDArray[np.float64]) -> float:
    return round(float(np.nanmean(ap)), 4)


def write_tables(results: Mapping[str, Any]) -> str:
    """Two tables in Markdown: all rows, and the classes of some of them."""
    ap = {
        name: np.array([each["ap"] for each in seeds.values()], dtype=float)
        for name, seeds in results.items()
        if name != "without training"
    }
    mean = {name: np.nanmean(each, axis=1) for name, each in ap.items()}
    lines = ["| trained on | mAP | spread | share of the gap |", "|---|---|---|---|"]
    for name, value in results["without training"].items():
        lines.append(f"| *{name}* | {value:.3f} | - | - |")
    base, bound = mean.get(BASE), mean.get(BOUND)
    for name in [row.name for row in ROWS if row.name in mean]:
        share = "-"
        if base is not None and bound is not None:
            gap = bound.mean() - base.mean()
            share = f"{(mean[name].mean() - base.mean()) / gap:.0%}"
        lines.append(f"| {name} | {mean[name].mean():.3f} | {np.ptp(mean[name]):.3f} | {share} |")
    best = max((name for name in mean if BOUND not in name), key=lambda name: mean[name].mean())
    shown = [name for name in (BASE, best, BOUND) if name in mean]
    lines += ["", f"| class | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
    for each in LOCALIZATIONS:
        values = [np.nanmean(ap[name][:, each.hpa_index]) for name in shown]
        cells = " | ".join("-" if np.isnan(value) else f"{value:.2f}" for value in values)
        lines.append(f"| {each.name} | {cells} |")
    return "\n".join(lines) + "\n"
