"""Loss from what the data set says of each cell: true labels, or those of a refinement.

N: cells of the batch; B: its images (bags); K: classes.
"""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from hpa_mmdet.models.losses.base import LocalizationLoss, mean_over_bags


@MODELS.register_module()
class CellLoss(LocalizationLoss):
    """Binary cross-entropy of each cell against its own labels, hard or soft.

    For JSON files whose `category_ids` (and `category_probs`, where there are any) differ
    between the cells of an image, as tools/refine_labels.py writes them. On inherited
    labels it is `InheritedLoss`.

    Args:
        loss_weight: factor on the result.
        balance: see `LocalizationLoss`.

    Raises:
        ValueError: used where cells have no labels of their own.
    """

    def forward(
        self,
        cell_logits: Tensor,
        bag_index: Tensor,
        bag_labels: Tensor,
        cell_targets: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss; averaged over the cells of each image, then over the images."""
        if cell_targets is None:
            raise ValueError("CellLoss: found no labels of single cells; train it on a data set")
        by_class = F.binary_cross_entropy_with_logits(
            cell_logits.float(), cell_targets.float(), reduction="none"
        )
        if asked is not None:
            by_class = by_class * asked[bag_index]
        return self.loss_weight * mean_over_bags(self.weigh(by_class), bag_index, len(bag_labels))
