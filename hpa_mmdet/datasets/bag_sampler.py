"""One sampler with the ways to balance classes: uniform, by weights, by repeat factors.

Class weights in the loss, the fourth way, are `balance` of any localization loss.

B: items of the data set (bags or single crops); K: classes.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import DATA_SAMPLERS
from torch import Tensor

from hpa_mmdet.datasets.samplers import RepeatFactorSampler
from hpa_mmdet.errors import InputError

WAYS = ("none", "uniform", "weights", "repeat")


@DATA_SAMPLERS.register_module()
class BalancedSampler(RepeatFactorSampler):
    """Draw items so that rare classes are seen more often.

    Args:
        dataset: has `get_image_info(index)` with `image_labels`, as `CropBagDataset`.
        balance: "none": each item once. "uniform": a class is drawn first, all with equal
            chance, then an item that has it. "weights": items are drawn by weight, which is
            the mean over an item's classes of 1 / (items that have the class). "repeat":
            repeat factors, see `RepeatFactorSampler`.
        threshold: of the repeat factors.
        shuffle: the order too is drawn anew in each epoch.
        seed: of the draws; None takes one that all processes share.

    The drawn ways draw as many items an epoch as there are, with replacement; an item
    without labels is never drawn by them. Every process gets as many.

    Raises:
        InputError: another way, or no item has a label to balance.
    """

    def __init__(
        self,
        dataset: Any,
        balance: str = "none",
        threshold: float = 0.1,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        if balance not in WAYS:
            raise InputError(
                "BalancedSampler, balance", repr(balance), ", ".join(WAYS), "correct the config"
            )
        self.balance, self.chances = balance, torch.zeros(0)
        super().__init__(dataset, threshold if balance == "repeat" else 0.0, shuffle, seed)

    def use_labels(self, labels: Sequence[Sequence[int]]) -> None:
        """Take the items' labels before the first draw."""
        super().use_labels(labels)
        if self.balance in ("uniform", "weights"):
            self.chances = draw_chances(labels, self.balance)

    def _draw(self) -> list[int]:
        if not len(self.chances):
            return super()._draw()
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        count = -(-len(self.chances) // self.world_size) * self.world_size
        drawn = torch.multinomial(self.chances, count, replacement=True, generator=generator)
        return drawn.tolist() if self.shuffle else sorted(drawn.tolist())


def draw_chances(labels: Sequence[Sequence[int]], balance: str) -> Tensor:
    """Give each item's chance to be drawn.

    Args:
        labels: hpa_index values of each of B items.
        balance: "uniform" or "weights"; see `BalancedSampler`.

    Returns:
        (B,) float64 with a sum of 1; "uniform" is the sum over an item's classes of
        1 / (K * items that have the class), with K the classes that some item has.

    Raises:
        InputError: no item has a label.

    Examples:
        >>> draw_chances([[0], [0], [5]], "uniform").tolist()
        [0.25, 0.25, 0.5]
    """
    counts: dict[int, int] = {}
    for shown in labels:
        for hpa_index in set(shown):
            counts[hpa_index] = counts.get(hpa_index, 0) + 1
    if not counts:
        raise InputError(
            "BalancedSampler", "no item with a label", "labels to balance", "use balance='none'"
        )
    shares = [[1 / counts[hpa_index] for hpa_index in set(shown)] for shown in labels]
    if balance == "weights":
        chances = [sum(share) / len(share) if share else 0.0 for share in shares]
    else:
        chances = [sum(share) for share in shares]
    result = torch.tensor(chances, dtype=torch.float64)
    return result / result.sum()
