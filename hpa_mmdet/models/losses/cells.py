"""Loss from what the data set says of each cell: true labels, or those of a refinement.

N: cells of the batch; B: its images (bags); K: classes.
"""

from mmdet.registry import MODELS
from torch import Tensor

from hpa_mmdet.models.losses.base import SingleCellLoss


@MODELS.register_module()
class CellLoss(SingleCellLoss):
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

    def targets(self, inherited: Tensor, cell_targets: Tensor | None) -> Tensor:
        """Give the labels of each cell."""
        if cell_targets is None:
            raise ValueError("CellLoss: found no labels of single cells; train it on a data set")
        return cell_targets
