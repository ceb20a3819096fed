"""One sampler with the ways to balance classes: uniform, by weights, by repeat factors.

Class weights in the loss, the fourth way, are `balance` of any localization loss.

B: items of the data set (bags or single crops); K: classes.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch import Tensor
from torch.utils.data import Sampler

from hpa_mmdet.errors import InputError

WAYS = ("none", "uniform", "weights", "repeat")


@DATA_SAMPLERS.register_module()
class BalancedSampler(Sampler[int]):
    """Draw items so that rare classes are seen more often.

    Args:
        dataset: has `get_image_info(index)` with `image_labels`, as `CropBagDataset`.
        balance: "none": each item once. "uniform": a class is drawn first, all with equal
            chance, then an item that has it. "weights": items are drawn by weight, which is
            the mean over an item's classes of 1 / (items that have the class). "repeat":
            items of rare classes are repeated, as often on average as their factor says.
        threshold: t of the repeat factors, see `repeat_factors`.
        shuffle: the order too is drawn anew in each epoch.
        seed: of the draws; None takes one that all processes share.

    "uniform" and "weights" draw as many items an epoch as there are, with replacement; an item
    without labels is never drawn by them. Every process gets as many items, the first ones
    again where they do not part evenly.

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
        self.rank, self.world_size = get_dist_info()
        self.balance, self.shuffle, self.epoch = balance, shuffle, 0
        self.seed = sync_random_seed() if seed is None else seed
        labels = [dataset.get_image_info(index)["image_labels"] for index in range(len(dataset))]
        if balance in ("uniform", "weights"):
            self.chances = draw_chances(labels, balance)
        else:
            self.factors = repeat_factors(labels, threshold if balance == "repeat" else 0.0)
        self._indices = self._draw()

    def __iter__(self) -> Iterator[int]:
        """Give this process's items of the epoch."""
        self._indices = self._draw()
        yield from self._indices[self.rank :: self.world_size]

    def __len__(self) -> int:
        """Count this process's items of the epoch."""
        return len(self._indices) // self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; its draw depends on it and the seed alone."""
        self.epoch = epoch
        self._indices = self._draw()

    def _draw(self) -> list[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        if self.balance in ("uniform", "weights"):
            count = len(self.chances)
            drawn = torch.multinomial(self.chances, count, replacement=True, generator=generator)
        else:
            whole = self.factors.floor()
            more = torch.rand(len(whole), generator=generator) < self.factors - whole
            drawn = torch.repeat_interleave(torch.arange(len(whole)), (whole + more).long())
            if self.shuffle:
                drawn = drawn[torch.randperm(len(drawn), generator=generator)]
        total = -(-len(drawn) // self.world_size) * self.world_size
        return list(drawn.repeat(2)[:total].tolist())


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
    counts = _count(labels)
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


def repeat_factors(labels: Sequence[Sequence[int]], threshold: float) -> Tensor:
    """Say how often each item should be seen in an epoch.

    Args:
        labels: hpa_index values of each of B items.
        threshold: t, the share of items from which a class is not rare.

    Returns:
        (B,) float, the largest max(1, sqrt(t / f_k)) of its classes, f_k the share of items
        that have class k; 1 without labels.

    Source:
        LVIS: Gupta et al. 2019, arXiv 1908.03195, appendix B.

    Examples:
        >>> repeat_factors([[0], [0], [0], [0, 5]], 1.0)
        tensor([1., 1., 1., 2.])
    """
    factor = {
        hpa_index: max(1.0, math.sqrt(threshold * len(labels) / count))
        for hpa_index, count in _count(labels).items()
    }
    return torch.tensor([max([1.0, *(factor[k] for k in shown)]) for shown in labels])


def _count(labels: Sequence[Sequence[int]]) -> Counter[int]:
    """Count the items that have each class."""
    return Counter(hpa_index for shown in labels for hpa_index in set(shown))
