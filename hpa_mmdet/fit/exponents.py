"""How much the image says of its cells, chosen on cells that the heads did not learn from.

N: cells; B: images; K: classes.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch

from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.scoring.resampling import class_average_precisions, mean_of_known

IMAGE_EXPONENTS = (0.0, 0.25, 0.5, 1.0)
CELLS_EXPONENTS = (0.0, 0.5, 1.0, 1.5)


@torch.no_grad()
def choose_exponents(
    model: Any,
    cache: FeatureCache,
    image_exponents: Sequence[float] = IMAGE_EXPONENTS,
    cells_exponents: Sequence[float] = CELLS_EXPONENTS,
    by_images: bool = False,
) -> tuple[float, float, float]:
    """Try all pairs and leave the best in `model.localization.chosen_exponents`.

    The score is the mean over the classes of average precision over cells. Where the data
    set does not tell the cells of an image apart nothing is changed: exponents chosen by
    images were worse for cells than the defaults (docs/weak_supervision.md).

    Args:
        model: has `localization`, a fitted `LocalizationBranch`.
        cache: features of validation images.
        image_exponents: candidates for a of `LocalizationBranch.predict`.
        cells_exponents: candidates for b.
        by_images: score images by their highest cell instead, for comparison.

    Returns:
        The chosen a and b, of equal ones the smallest, and their score; NaN where none was
        chosen.
    """
    branch = model.localization
    device = branch.chosen_exponents.device
    truth = None if by_images else _cells_told_apart(cache)
    if truth is None and not by_images:
        return *branch.exponents(), float("nan")
    probs = [
        (
            branch.cell_head.probabilities(cells.to(device)),
            branch.image_head.probabilities(image[None].to(device))[0],
        )
        for cells, image in cache.bags()
    ]
    best = (-1.0, 0.0, 0.0)
    for a, b in product(sorted(image_exponents), sorted(cells_exponents)):
        scores = [branch.weigh(*bag, a, b).cpu() for bag in probs]
        if truth is None:
            rows = torch.stack([bag.amax(0) for bag in scores if len(bag)]).double().numpy()
            shown = cache.image_labels[cache.counts > 0].numpy() > 0
        else:
            rows, shown = torch.cat(scores).double().numpy(), truth
        value = mean_of_known(class_average_precisions(shown, rows)[0])
        if value > best[0] + 1e-9:
            best = (value, a, b)
    branch.chosen_exponents.copy_(torch.tensor(best[1:]))
    return best[1], best[2], best[0]


def _cells_told_apart(cache: FeatureCache) -> np.ndarray | None:
    """(N, K) what each cell shows, or None where all cells have their image's labels."""
    if cache.cell_targets is None:
        return None
    image_of = torch.repeat_interleave(torch.arange(len(cache.counts)), cache.counts)
    if torch.equal(cache.cell_targets > 0.5, cache.image_labels[image_of] > 0.5):
        return None
    return (cache.cell_targets > 0.5).numpy()
