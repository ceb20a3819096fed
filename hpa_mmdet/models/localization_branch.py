"""Which localizations each cell shows: a classification branch beside the detector.

N: cells of an image; B: images; D: length of a feature vector; K = 19 localizations, of
which the last is Negative.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from hpa_mmdet.localizations import NEGATIVE, NUM_LOCALIZATIONS
from hpa_mmdet.models.localization_head import LocalizationHead


@MODELS.register_module()
class LocalizationBranch(BaseModule):
    """Names cells from maps pooled inside them, and the image from maps pooled over it.

    Args:
        feature_dim: D, twice the sum of the channels of the maps that are pooled.
        backbone: config of a network of its own (such as the green channel alone at
            the full resolution), or None to pool the detector's maps.
        pooling: "mask" (inside the cell's mask) or "box".
        hidden: for each part of the heads the width of its hidden layer, 0 for a linear one;
            see `LocalizationHead`.
        dropout: in the heads, while they train.
        loss: config of a `LocalizationLoss` over cells and bags, such as `BagLoss`.
        image_loss_weight: of the image head's binary cross-entropy.
        negative: "derived": p(Negative) is the product of (1 - p) over the other 18;
            "learnt": its own logit; "mixed": the mean of both. Image labels hardly ever say
            Negative, though 10 % of real cells are, so the default is derived; the fit then mixes
            the learnt logit in where it learnt from reviewed cells (`learnt_negative`).
        image_exponent: a in the score of a cell, the weighted geometric mean
            (p(k | cell) * p(k | image)^a * mean(k)^b)^(1 / (1 + a + b)); 0 switches the image
            head off. None takes what `choose_exponents` found on validation images, or 0.5.
        cells_exponent: b in the same; mean(k) is the mean of p(k | cell) over the cells of
            the image: neighbours that show k are evidence for k. None as above, or 1.
        train_with_detector: also learn in the detector's own steps. Else only
            `DetectThenFitLoop` trains the heads, which is cheaper by far on a CPU.
        reviewed_loss_weight: of the cross-entropy of cells that a person looked at. The other
            cells of their image stay a bag of which the rest is asked: a label that a reviewed
            cell shows is explained, one that all reviewed cells lack must lie in the others.
        exact_loss_weight: of the cross-entropy of cells whose labels are exact because
            another channel stands in for the protein (`SubstituteChannel`).
        init_cfg: mmengine's.
    """

    chosen_exponents: Tensor
    learnt_negative: Tensor

    def __init__(
        self,
        feature_dim: int,
        loss: dict[str, Any],
        backbone: dict[str, Any] | None = None,
        pooling: str = "mask",
        hidden: int | Sequence[int] = (0, 256),
        dropout: float = 0.3,
        image_loss_weight: float = 1.0,
        negative: str = "derived",
        image_exponent: float | None = None,
        cells_exponent: float | None = None,
        train_with_detector: bool = False,
        exact_loss_weight: float = 1.0,
        reviewed_loss_weight: float = 1.0,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in ("mask", "box"):
            raise ValueError(f"pooling: found {pooling!r}, expected mask or box")
        if negative not in ("derived", "learnt", "mixed"):
            raise ValueError(f"negative: found {negative!r}, expected derived, learnt or mixed")
        self.backbone = MODELS.build(backbone) if backbone else None
        self.pooling, self.negative = pooling, negative
        self.image_exponent, self.cells_exponent = image_exponent, cells_exponent
        self.image_loss_weight = image_loss_weight
        self.train_with_detector = train_with_detector
        self.exact_loss_weight = exact_loss_weight
        self.reviewed_loss_weight = reviewed_loss_weight
        self.loss_localization = MODELS.build(loss)
        self.cell_head = LocalizationHead(feature_dim, hidden, dropout)
        self.image_head = LocalizationHead(feature_dim, hidden, dropout)
        # a and b, for exponents that the config leaves open; part of the checkpoint
        self.register_buffer("chosen_exponents", torch.tensor([0.5, 1.0]))
        # share of the learnt logit in a derived Negative; 0 until reviewed cells taught it
        self.register_buffer("learnt_negative", torch.tensor(0.0))

    def maps(self, image: Tensor, detector_maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Give the maps to pool: of the own network, or the detector's.

        Args:
            image: (B, C, H, W), as the detector sees it.
            detector_maps: (B, C_l, h_l, w_l), of the detector's backbone.
        """
        return tuple(detector_maps) if self.backbone is None else tuple(self.backbone(image))

    def loss(
        self,
        cells: Tensor,
        bag_index: Tensor,
        images: Tensor,
        image_labels: Tensor,
        cell_targets: Tensor | None = None,
        exact: Tensor | None = None,
        reviewed: Tensor | None = None,
        taught: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Compute the losses from features; the same in both stages of training.

        Args:
            cells: (N, D) of all images of the batch.
            bag_index: (N,) the image of each, 0..B-1.
            images: (B, D).
            image_labels: (B, K) 0 or 1, the weak labels.
            cell_targets: (N, K) in 0..1, for losses that learn from single cells.
            exact: (B,) bool, images whose labels hold for each of their cells. They have a
                loss of their own and no part in the others.
            reviewed: (N,) bool, cells whose `cell_targets` a person gave.
            taught: (N,) bool, cells whose `cell_targets` earlier heads gave. They learn these, and
                have no part in a bag.

        Returns:
            `loss_localization` and `loss_image`; `loss_exact`, `loss_reviewed` and `loss_taught`
            where `exact`, `reviewed` and `taught` are given.
        """
        parts = self.cell_head(cells)
        labels = image_labels.float()
        # a derived Negative has no logit of its own to learn
        count = NEGATIVE if self.negative == "derived" else NUM_LOCALIZATIONS
        weak = torch.ones_like(bag_index, dtype=torch.bool) if exact is None else ~exact[bag_index]
        known, asked = torch.zeros_like(weak), None
        if reviewed is not None and cell_targets is not None:
            known = weak & reviewed
            asked = 1 - _shown_by(cell_targets[known], bag_index[known], len(labels))[:, :count]
        told = torch.zeros_like(weak) if taught is None else weak & taught & ~known
        rest = weak & ~known & ~told
        targets = None if cell_targets is None else cell_targets[rest, :count]
        weak_losses = [
            self.loss_localization(
                logits[rest, :count], bag_index[rest], labels[:, :count], targets, asked
            )
            for logits in parts
        ]
        image_loss = _cross_entropy(self.image_head(images), labels)
        losses = {
            "loss_localization": torch.stack(weak_losses).mean(),
            "loss_image": self.image_loss_weight * _mean(image_loss, exact),
        }
        if asked is not None and cell_targets is not None:
            losses["loss_reviewed"] = self.reviewed_loss_weight * _known_cells_loss(
                parts[:, known], cell_targets[known], bag_index[known], bag_index[weak]
            )
        if taught is not None and cell_targets is not None:
            losses["loss_taught"] = _known_cells_loss(
                parts[:, told], cell_targets[told], bag_index[told], bag_index[weak]
            )
        if exact is not None:
            exact_loss = _cross_entropy(parts[:, ~weak, :count], labels[bag_index[~weak], :count])
            losses["loss_exact"] = self.exact_loss_weight * _mean(exact_loss, None)
        return losses

    def exponents(self) -> tuple[float, float]:
        """Give a and b: the config's, or where it leaves them open the checkpoint's."""
        chosen = self.chosen_exponents.tolist()
        return (
            chosen[0] if self.image_exponent is None else self.image_exponent,
            chosen[1] if self.cells_exponent is None else self.cells_exponent,
        )

    def predict(self, cells: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Name the cells of one image.

        Args:
            cells: (N, D).
            image: (D,).

        Returns:
            (N, K) the geometric mean of p(k | cell), p(k | image)^a and mean(k)^b, and (K,)
            p(k | image). Negative is p(k | cell), since images are hardly ever labelled so.
        """
        prob = self.cell_head.probabilities(cells)
        image_prob = self.image_head.probabilities(image[None])[0]
        return self.weigh(prob, image_prob, *self.exponents()), image_prob

    def weigh(
        self, prob: Tensor, image_prob: Tensor, image_exponent: float, cells_exponent: float
    ) -> Tensor:
        """Bring in what the image says of its cells, and Negative; see `predict`.

        Args:
            prob: (N, K) p(k | cell) of the cells of one image.
            image_prob: (K,) p(k | image).
            image_exponent: a.
            cells_exponent: b.
        """
        shown, learnt = prob[:, :NEGATIVE], prob[:, NEGATIVE:]
        derived = (1 - shown).prod(1, keepdim=True)
        mixed = {"derived": float(self.learnt_negative), "learnt": 1.0, "mixed": 0.5}[self.negative]
        negative = (1 - mixed) * derived + mixed * learnt
        evidence = image_prob[:NEGATIVE] ** image_exponent
        if len(prob):
            evidence = evidence * shown.mean(0) ** cells_exponent
        # the root changes no order within a class, and keeps scores as large as probabilities
        weighed = (shown * evidence) ** (1 / (1 + image_exponent + cells_exponent))
        return torch.cat([weighed, negative], dim=1)


def _cross_entropy(parts: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of (P, rows, K) logits, summed over K: (rows,), the parts' mean."""
    by_class = nn.functional.binary_cross_entropy_with_logits(
        parts, targets.expand_as(parts), reduction="none"
    )
    return by_class.sum(2).mean(0)


def _known_cells_loss(
    parts: Tensor, targets: Tensor, bag_index: Tensor, all_bags: Tensor
) -> Tensor:
    """Cross-entropy of cells with targets: the mean in each image, over all images of the batch.

    So an image counts as much as in the bag loss, however many of its cells have targets.
    """
    by_cell = _cross_entropy(parts, targets.float())
    known_in_image = torch.bincount(bag_index)[bag_index]
    return (by_cell / known_in_image).sum() / max(len(all_bags.unique()), 1)


def _shown_by(cell_targets: Tensor, bag_index: Tensor, num_bags: int) -> Tensor:
    """(B, K) 1 where one of the (n, K) cells of an image shows a class, else 0."""
    shown = torch.zeros(num_bags, cell_targets.shape[1], device=cell_targets.device)
    return shown.index_add(0, bag_index, (cell_targets > 0.5).float()).clamp(max=1)


def _mean(values: Tensor, left_out: Tensor | None) -> Tensor:
    """Mean of (B,) values but those left out; 0, with a gradient of 0, where none is left."""
    kept = values if left_out is None else values[~left_out]
    return kept.mean() if len(kept) else kept.sum()
