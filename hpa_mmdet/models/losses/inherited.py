"""The plain baseline: every cell is told all labels of its image.

N: cells of the batch; B: its images (bags); K: classes.
"""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class InheritedLoss(nn.Module):
    """Binary cross-entropy of each cell against its image's label set.

    Args:
        label_smoothing: e; targets 1 and 0 become 1 - e and e.
        loss_weight: factor on the result.

    Source:
        Label smoothing: Szegedy et al. 2016, arXiv 1512.00567, section 7.
    """

    def __init__(self, label_smoothing: float = 0.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.label_smoothing, self.loss_weight = label_smoothing, loss_weight

    def forward(self, cell_logits: Tensor, bag_index: Tensor, bag_labels: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            cell_logits: (N, K) any real.
            bag_index: (N,) integer, the image of each cell, 0..B-1.
            bag_labels: (B, K) 0 or 1.

        Returns:
            Scalar: summed over classes, averaged over the cells of each image and then
            over the images that have cells.
        """
        smooth = self.label_smoothing
        target = bag_labels.float()[bag_index] * (1 - 2 * smooth) + smooth
        each = F.binary_cross_entropy_with_logits(cell_logits, target, reduction="none").sum(1)
        return self.loss_weight * mean_over_bags(each, bag_index, len(bag_labels))


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
