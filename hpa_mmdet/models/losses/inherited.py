"""Losses that tell every cell all labels of its image: the plain baseline and kin.

N: cells of the batch; B: its images (bags); K: classes.
"""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from hpa_mmdet.models.losses.base import SingleCellLoss


@MODELS.register_module()
class InheritedLoss(SingleCellLoss):
    """Binary cross-entropy of each cell against its image's label set.

    Args:
        label_smoothing: e; targets 1 and 0 become 1 - e and e.
        loss_weight: factor on the result.
        balance: see `LocalizationLoss`.

    Source:
        Label smoothing: Szegedy et al. 2016, arXiv 1512.00567, section 7.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        loss_weight: float = 1.0,
        balance: float | None = None,
    ) -> None:
        super().__init__(loss_weight, balance)
        self.label_smoothing = label_smoothing

    def targets(self, inherited: Tensor, cell_targets: Tensor | None) -> Tensor:
        """Give the smoothed labels of each cell's image."""
        return inherited * (1 - 2 * self.label_smoothing) + self.label_smoothing


@MODELS.register_module()
class AsymmetricInheritedLoss(SingleCellLoss):
    """Asymmetric loss of each cell against its image's label set; focal as a special case.

    With p the probability, y the label and p_m = max(p - margin, 0):

        -y (1 - p)^positive_focus log(p) - (1 - y) p_m^negative_focus log(1 - p_m)

    Equal focuses and no margin make it the focal loss (without its alpha).

    Args:
        positive_focus: gamma+; above 0 it spares labels that are already seen.
        negative_focus: gamma-; above 0 it spares negatives that are already seen.
        margin: negatives of a probability below it cost nothing.
        loss_weight: factor on the result.
        balance: see `LocalizationLoss`.

    Source:
        Ridnik et al. 2021, arXiv 2009.14119, eq. 7; focal: Lin et al. 2017, arXiv
        1708.02002, eq. 4.
    """

    def __init__(
        self,
        positive_focus: float = 0.0,
        negative_focus: float = 4.0,
        margin: float = 0.05,
        loss_weight: float = 1.0,
        balance: float | None = None,
    ) -> None:
        super().__init__(loss_weight, balance)
        self.positive_focus, self.negative_focus = positive_focus, negative_focus
        self.margin = margin

    def by_class(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Give the loss of each cell and class."""
        prob = logits.sigmoid()
        shifted = (prob - self.margin).clamp(min=0)
        # without a margin in a form that is exact where p is nearly 1
        log_negative = (1 - shifted).log() if self.margin > 0 else F.logsigmoid(-logits)
        positive = (1 - prob) ** self.positive_focus * F.logsigmoid(logits)
        negative = shifted**self.negative_focus * log_negative
        return -(targets * positive + (1 - targets) * negative)
