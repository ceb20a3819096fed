"""What all losses of the localization heads share: their arguments, and class weights.

N: cells of the batch; B: its images (bags); K: classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence


class LocalizationLoss(nn.Module):
    """A loss over the cells of some images, whose labels are the images'.

    Args:
        loss_weight: factor on the result.
        balance: beta of the effective number of samples, such as 0.99; None weighs all
            classes alike. The weights follow the counts that `measure_classes` is given.

    Source:
        Class weights: Cui et al. 2019, arXiv 1901.05555, eq. 2.
    """

    class_weight: Tensor | None

    def __init__(self, loss_weight: float = 1.0, balance: float | None = None) -> None:
        super().__init__()
        if balance is not None and not 0 <= balance < 1:
            raise ValueError(f"balance: found {balance}, expected 0 to below 1, or None")
        self.loss_weight, self.balance = loss_weight, balance
        # not in checkpoints: it belongs to the training set
        self.register_buffer("class_weight", None, persistent=False)

    def measure_classes(self, class_counts: Tensor) -> None:
        """Take the training set's (K,) counts of images that have each class."""
        if self.balance is not None:
            self.class_weight = effective_number_weights(class_counts, self.balance)

    def forward(
        self,
        cell_logits: Tensor,
        bag_index: Tensor,
        bag_labels: Tensor,
        cell_targets: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            cell_logits: (N, K) any real.
            bag_index: (N,) integer, the image of each cell, 0..B-1.
            bag_labels: (B, K) 0 or 1.
            cell_targets: (N, K) in 0..1, what the data set says of each cell; only the
                losses that learn from single cells read it.
            asked: (B, K) in 0..1, the weight of each class in each image; None weighs all
                alike. What single cells of an image are known to show is not asked of its others.

        Returns:
            Scalar; 0, with a gradient of 0, where there are no cells.
        """
        raise NotImplementedError

    def weigh(self, by_class: Tensor) -> Tensor:
        """Multiply (..., K) losses by the classes' weights and sum them: (...)."""
        if self.class_weight is not None:
            by_class = by_class * self.class_weight[: by_class.shape[-1]].to(by_class)
        return by_class.sum(-1)


class SingleCellLoss(LocalizationLoss):
    """A loss of each cell by itself; averaged over the cells of each image, then over the images."""

    def forward(
        self,
        cell_logits: Tensor,
        bag_index: Tensor,
        bag_labels: Tensor,
        cell_targets: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss; see the parent."""
        targets = self.targets(bag_labels[bag_index], cell_targets).float()
        by_class = self.by_class(cell_logits.float(), targets)
        if asked is not None:
            by_class = by_class * asked[bag_index]
        return self.loss_weight * mean_over_bags(self.weigh(by_class), bag_index, len(bag_labels))

    def targets(self, inherited: Tensor, cell_targets: Tensor | None) -> Tensor:
        """Give what is asked of each cell, (N, K): here the labels of its image."""
        return inherited

    def by_class(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Give the loss of each cell and class, (N, K): here binary cross-entropy."""
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def effective_number_weights(class_counts: Tensor, beta: float) -> Tensor:
    """Weigh classes by the inverse of their effective number of samples.

    Args:
        class_counts: (K,) images of each class; 0 counts as 1.
        beta: 0 weighs all alike, towards 1 rare classes weigh more.

    Returns:
        (K,) float, proportional to (1 - beta) / (1 - beta^n), with a mean of 1.

    Source:
        Cui et al. 2019, arXiv 1901.05555, eq. 2.

    Examples:
        >>> effective_number_weights(torch.tensor([1, 3]), 0.5)
        tensor([1.2727, 0.7273])
    """
    effective = (1 - beta ** class_counts.clamp(min=1).double()) / (1 - beta)
    weights = 1 / effective
    return (weights / weights.mean()).float()


def mean_over_bags(values: Tensor, bag_index: Tensor, num_bags: int) -> Tensor:
    """Average (N,) values inside each bag, then over the bags that have any.

    Returns:
        Scalar; 0, with a gradient of 0, where there are no cells.
    """
    if not len(values):
        return values.sum()
    sums = values.new_zeros(num_bags).index_add(0, bag_index, values)
    counts = torch.bincount(bag_index, minlength=num_bags)
    filled = counts > 0
    return (sums[filled] / counts[filled]).mean()


def pad_bags(values: Tensor, bag_index: Tensor, num_bags: int) -> tuple[Tensor, Tensor]:
    """Lay the rows of each bag side by side.

    Args:
        values: (N, K).
        bag_index: (N,) integer, 0..B-1, in any order.
        num_bags: B.

    Returns:
        (B, M, K) values, 0 where a bag has fewer than M rows, and (B, M) bool, where one
        is.
    """
    counts = torch.bincount(bag_index, minlength=num_bags)
    order = torch.argsort(bag_index, stable=True)
    padded = pad_sequence(values[order].split(counts.tolist()), batch_first=True)
    is_row = torch.arange(padded.shape[1], device=values.device)[None] < counts[:, None]
    return padded, is_row
