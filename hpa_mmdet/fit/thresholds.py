"""From which score on a cell is called a class, chosen where only images are labelled.

N: cells; B: images; K: classes.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.scoring.ranking import best_threshold

UNKNOWN = 0.5  # for classes that no image has


@torch.no_grad()
def choose_thresholds(model: Any, cache: FeatureCache) -> NDArray[np.float64]:
    """Give the threshold of highest F1 of each class on what the cells are taken to show.

    Scores that the image and its other cells have weighed are no probabilities, so 0.5 has no
    meaning. A cell is taken to show a label of its image if p(k | cell)
    is at least 0.5 or the highest of the image, and Negative if it shows none of them.

    Args:
        model: has `localization`, a fitted `LocalizationBranch`.
        cache: features of images; those with exact labels have no part.

    Returns:
        (K,) in 0..1, of the scores that `LocalizationBranch.predict` gives; 0.5 for classes
        that nothing shows.
    """
    branch = model.localization
    device = branch.chosen_exponents.device
    weak = cache.weak_images()
    scores, shown = [], []
    for (cells, image), labels in zip(cache.bags(weak), cache.image_labels[weak], strict=True):
        if len(cells):
            probs = branch.cell_head.probabilities(cells.to(device)).cpu()
            scores.append(branch.predict(cells.to(device), image.to(device))[0].cpu())
            shown.append(_taken_to_show(probs, labels > 0.5))
    if not scores:
        return np.full(cache.image_labels.shape[1], UNKNOWN)
    columns = zip(torch.cat(shown).numpy().T, torch.cat(scores).double().numpy().T, strict=True)
    chosen = np.array([best_threshold(*column) for column in columns])
    return np.where(np.isfinite(chosen), chosen, UNKNOWN).clip(0, 1)


def _taken_to_show(probs: Tensor, labels: Tensor) -> Tensor:
    """(N, K) bool of the cells of one image from their (N, K) and its (K,) labels."""
    likely = (probs >= 0.5) | (probs == probs.amax(0))
    shown = likely & labels
    shown[:, NEGATIVE] = ~shown[:, :NEGATIVE].any(1)
    return shown
