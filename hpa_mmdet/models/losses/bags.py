"""Bag losses: an image's label says that some of its cells show the class, not which.

N: cells of the batch; B: its images (bags); M: cells of the largest bag; K: classes.
"""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn

from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.models.losses.base import LocalizationLoss, pad_bags

BAG_POOLINGS = ("mean", "log_sum_exp", "noisy_or", "top_share", "attention")


@MODELS.register_module()
class BagLoss(LocalizationLoss):
    """Bag loss with certain negatives.

    With p the cells' probabilities, z their logits and y the image's labels, the loss of
    one image is

        sum over k with y_k = 1 of  -log pool_i(p_ik)
        + absent_weight * sum over k with y_k = 0 of  mean_i -log(1 - p_ik)

    A label that the image has is asked of the pooled cells; one that it lacks is a
    certain negative for each of them. Pooling over the n cells of the image:

        mean          (1/n) sum_i p_i
        log_sum_exp   (1/r) log((1/n) sum_i exp(r p_i))
        noisy_or      1 - prod_i (1 - p_i)
        top_share     mean of the highest ceil(share * n) p_i
        attention     sum_i a_i p_i,  a = softmax over the cells of s_k z_i, s_k learnt

    Args:
        pooling: one of the five.
        absent_weight: weight of the certain negatives.
        sharpness: r of log_sum_exp; s of attention starts at a fifth of it.
        share: of top_share.
        loss_weight: factor on the result.
        balance: see `LocalizationLoss`.

    Raises:
        ValueError: another pooling.

    Source:
        Certain negatives: measured on real cells judged by eye (97 % hold). noisy_or:
        Maron and Lozano-Perez 1998; log_sum_exp: Pinheiro and Collobert 2015, arXiv
        1411.6228, eq. 6; attention: McFee et al. 2018, arXiv 1804.10070, eq. 8.
    """

    def __init__(
        self,
        pooling: str = "mean",
        absent_weight: float = 1.0,
        sharpness: float = 5.0,
        share: float = 0.5,
        loss_weight: float = 1.0,
        balance: float | None = None,
    ) -> None:
        super().__init__(loss_weight, balance)
        if pooling not in BAG_POOLINGS:
            raise ValueError(
                f"pooling: found {pooling!r}, expected one of {', '.join(BAG_POOLINGS)}"
            )
        self.pooling, self.absent_weight = pooling, absent_weight
        self.sharpness, self.share = sharpness, share
        if pooling == "attention":
            self.attention = nn.Parameter(torch.full((NUM_LOCALIZATIONS,), sharpness / 5))

    def forward(
        self,
        cell_logits: Tensor,
        bag_index: Tensor,
        bag_labels: Tensor,
        cell_targets: Tensor | None = None,
        asked: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss; averaged over the images that have cells. See the parent."""
        if not len(cell_logits):
            return cell_logits.sum()
        logits, is_cell = pad_bags(cell_logits.float(), bag_index, len(bag_labels))
        filled = is_cell.any(1)
        logits, is_cell, labels = logits[filled], is_cell[filled], bag_labels[filled].float()
        count = is_cell.sum(1, keepdim=True).float()
        # -log(1 - p) of a logit z is softplus(z)
        absent = (F.softplus(logits) * is_cell[..., None]).sum(1) / count
        present = -self._log_pooled(logits, is_cell, count)
        by_class = labels * present + self.absent_weight * (1 - labels) * absent
        if asked is not None:
            by_class = by_class * asked[filled]
        return self.loss_weight * self.weigh(by_class).mean()

    def _log_pooled(self, logits: Tensor, is_cell: Tensor, count: Tensor) -> Tensor:
        """Log of the pooled probability: (B, M, K), (B, M), (B, 1) -> (B, K)."""
        outside = ~is_cell[..., None]
        if self.pooling == "mean":
            log_prob = F.logsigmoid(logits).masked_fill(outside, -torch.inf)
            return torch.logsumexp(log_prob, 1) - count.log()
        prob = torch.sigmoid(logits)
        if self.pooling == "log_sum_exp":
            scaled = (self.sharpness * prob).masked_fill(outside, -torch.inf)
            pooled = (torch.logsumexp(scaled, 1) - count.log()) / self.sharpness
        elif self.pooling == "noisy_or":
            none = -(F.softplus(logits).masked_fill(outside, 0)).sum(1)
            pooled = -torch.expm1(none)
        elif self.pooling == "attention":
            sharp = logits * self.attention[: logits.shape[2]]
            pooled = (sharp.masked_fill(outside, -torch.inf).softmax(1) * prob).sum(1)
        else:
            ranked = prob.masked_fill(outside, -1).sort(1, descending=True).values
            place = torch.arange(ranked.shape[1], device=ranked.device)[None, :, None]
            kept = (place < torch.ceil(self.share * count)[..., None]).float()
            pooled = (ranked.clamp(min=0) * kept).sum(1) / kept.sum(1)
        return pooled.clamp(min=1e-6).log()
