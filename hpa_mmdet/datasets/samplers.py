"""Sampling of images so that rare classes are seen more often.

B: images of the data set; K: classes.
"""

import math
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch import Tensor
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()
class RepeatFactorSampler(Sampler[int]):
    """Repeat images of rare classes, as often on average as their repeat factor says.

    A factor's fraction is drawn anew in each epoch: an image of factor 1.3 is seen twice
    in 30 % of the epochs and once in the others.

    Args:
        dataset: has `get_data_info(index)` with `image_labels`, or the quicker
            `get_image_info(index)`, as `HpaCellDataset`.
        threshold: classes that fewer than this share of the images have are repeated.
        shuffle: the order too is drawn anew in each epoch.
        seed: of the draws; None takes one that all processes share.

    Every process gets as many images, the last ones twice where they do not part evenly.
    """

    def __init__(
        self,
        dataset: Any,
        threshold: float = 0.1,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.shuffle, self.epoch = shuffle, 0
        self.seed = sync_random_seed() if seed is None else seed
        assert isinstance(dataset, Sized)
        look_up = getattr(dataset, "get_image_info", None) or dataset.get_data_info  # type: ignore[attr-defined]
        self.threshold = threshold
        self.use_labels([look_up(index)["image_labels"] for index in range(len(dataset))])
        self._indices = self._draw()

    def use_labels(self, labels: Sequence[Sequence[int]]) -> None:
        """Take the items' labels before the first draw."""
        self.factors = repeat_factors(labels, self.threshold)

    def __iter__(self) -> Iterator[int]:
        """Give this process's images of the epoch."""
        self._indices = self._draw()
        yield from self._indices[self.rank :: self.world_size]

    def __len__(self) -> int:
        """Count this process's images of the epoch."""
        return len(self._indices) // self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; its draw depends on it and the seed alone."""
        self.epoch = epoch
        self._indices = self._draw()

    def _draw(self) -> list[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        whole = self.factors.floor()
        more = torch.rand(len(self.factors), generator=generator) < self.factors - whole
        times = (whole + more).long()
        indices = torch.repeat_interleave(torch.arange(len(times)), times)
        if self.shuffle:
            indices = indices[torch.randperm(len(indices), generator=generator)]
        total = -(-len(indices) // self.world_size) * self.world_size
        rounds = -(-total // max(len(indices), 1))
        return list(indices.repeat(rounds)[:total].tolist())


def repeat_factors(image_labels: Sequence[Sequence[int]], threshold: float) -> Tensor:
    """Say how often each image should be seen in an epoch.

    Args:
        image_labels: hpa_index values of each of B images.
        threshold: t, the share of images from which a class is not rare.

    Returns:
        (B,) float, the largest max(1, sqrt(t / f_k)) of its classes, f_k the share of
        images that have class k; 1 without labels.

    Source:
        LVIS: Gupta et al. 2019, arXiv 1908.03195, appendix B.

    Examples:
        >>> repeat_factors([[0], [0], [0], [0, 5]], 1.0)
        tensor([1., 1., 1., 2.])
    """
    counts: dict[int, int] = {}
    for labels in image_labels:
        for hpa_index in set(labels):
            counts[hpa_index] = counts.get(hpa_index, 0) + 1
    factor = {
        hpa_index: max(1.0, math.sqrt(threshold * len(image_labels) / count))
        for hpa_index, count in counts.items()
    }
    return torch.tensor([max([1.0, *(factor[k] for k in labels)]) for labels in image_labels])
