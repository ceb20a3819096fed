"""Which localizations each cell shows: the network's second eye, beside the detector.

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
from hpa_mmdet.models.cell_pooling import pool_cells, pool_image


class Standardize(nn.Module):
    """Subtract a mean and divide by a deviation that were measured on training data.

    Unlike batch normalization it never uses the statistics of the batch at hand, which
    may be two images.

    Args:
        length: D.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(length))
        self.register_buffer("std", torch.ones(length))

    def fit(self, features: Tensor) -> None:
        """Measure (rows, D) features; a feature that never varies is left at scale 1."""
        self.mean.copy_(features.mean(0))
        spread = features.std(0, correction=0)
        self.std.copy_(torch.where(spread > 1e-6, spread, torch.ones_like(spread)))

    def forward(self, features: Tensor) -> Tensor:
        """Standardize (rows, D) features; outliers are cut at 10 deviations."""
        return ((features - self.mean) / self.std).clamp(-10, 10)


@MODELS.register_module()
class LocalizationBranch(BaseModule):
    """Names cells from maps pooled inside them, and the image from maps pooled over it.

    Args:
        feature_dim: D, twice the sum of the channels of the maps that are pooled.
        backbone: config of a network of its own (such as the green channel alone at
            the full resolution), or None to pool the detector's maps.
        pooling: "mask" (inside the cell's mask) or "box".
        hidden: width of the one hidden layer of each head.
        dropout: in the heads, while they train.
        loss: config of a `LocalizationLoss` over cells and bags, such as `BagLoss`.
        image_loss_weight: of the image head's binary cross-entropy.
        negative: "derived": p(Negative) is the product of (1 - p) over the other 18;
            "learnt": its own logit; "mixed": the mean of both. Image labels hardly ever say
            Negative, though 10 % of real cells are, so the default is derived.
        image_exponent: a in p(k | cell) * p(k | image)^a; 0 switches the image head off.
        train_with_detector: also learn in the detector's own steps. Else only
            `DetectThenFitLoop` trains the heads, which is cheaper by far on a CPU.
        exact_loss_weight: of the cross-entropy of cells whose labels are exact because
            another channel stands in for the protein (`SubstituteChannel`).
        init_cfg: mmengine's.
    """

    def __init__(
        self,
        feature_dim: int,
        loss: dict[str, Any],
        backbone: dict[str, Any] | None = None,
        pooling: str = "mask",
        hidden: int = 256,
        dropout: float = 0.3,
        image_loss_weight: float = 1.0,
        negative: str = "derived",
        image_exponent: float = 0.5,
        train_with_detector: bool = False,
        exact_loss_weight: float = 1.0,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in ("mask", "box"):
            raise ValueError(f"pooling: found {pooling!r}, expected mask or box")
        if negative not in ("derived", "learnt", "mixed"):
            raise ValueError(f"negative: found {negative!r}, expected derived, learnt or mixed")
        self.backbone = MODELS.build(backbone) if backbone else None
        self.pooling, self.negative = pooling, negative
        self.image_exponent, self.image_loss_weight = image_exponent, image_loss_weight
        self.train_with_detector = train_with_detector
        self.exact_loss_weight = exact_loss_weight
        self.loss_localization = MODELS.build(loss)
        self.cell_head = _head(feature_dim, hidden, dropout)
        self.image_head = _head(feature_dim, hidden, dropout)

    def maps(self, image: Tensor, detector_maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Give the maps to pool: of the own network, or the detector's.

        Args:
            image: (B, C, H, W), as the detector sees it.
            detector_maps: (B, C_l, h_l, w_l), of the detector's backbone.
        """
        return tuple(detector_maps) if self.backbone is None else tuple(self.backbone(image))

    def describe(self, image_maps: Sequence[Tensor], coverage: Tensor) -> tuple[Tensor, Tensor]:
        """Pool one image's maps.

        Args:
            image_maps: (C_l, h_l, w_l), finest first.
            coverage: (N, h, w) at the finest map's resolution.

        Returns:
            (N, D) features of the cells and (D,) of the image.
        """
        return pool_cells(image_maps, coverage), pool_image(image_maps)

    def loss(
        self,
        cells: Tensor,
        bag_index: Tensor,
        images: Tensor,
        image_labels: Tensor,
        cell_targets: Tensor | None = None,
        exact: Tensor | None = None,
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

        Returns:
            `loss_localization` and `loss_image`, and `loss_exact` where `exact` is given.
        """
        logits = self.cell_head(cells)
        labels = image_labels.float()
        # a derived Negative has no logit of its own to learn
        count = NEGATIVE if self.negative == "derived" else NUM_LOCALIZATIONS
        weak = torch.ones_like(bag_index, dtype=torch.bool) if exact is None else ~exact[bag_index]
        targets = None if cell_targets is None else cell_targets[weak, :count]
        image_loss = nn.functional.binary_cross_entropy_with_logits(
            self.image_head(images), labels, reduction="none"
        ).sum(1)
        losses = {
            "loss_localization": self.loss_localization(
                logits[weak, :count], bag_index[weak], labels[:, :count], targets
            ),
            "loss_image": self.image_loss_weight * _mean(image_loss, exact),
        }
        if exact is not None:
            exact_loss = nn.functional.binary_cross_entropy_with_logits(
                logits[~weak, :count], labels[bag_index[~weak], :count], reduction="none"
            ).sum(1)
            losses["loss_exact"] = self.exact_loss_weight * _mean(exact_loss, None)
        return losses

    def predict(self, cells: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Name the cells of one image.

        Args:
            cells: (N, D).
            image: (D,).

        Returns:
            (N, K) p(k | cell) * p(k | image)^a, and (K,) p(k | image). Negative is not
            multiplied, since images are hardly ever labelled so.
        """
        prob = torch.sigmoid(self.cell_head(cells))
        image_prob = torch.sigmoid(self.image_head(image[None]))[0]
        shown = prob[:, :NEGATIVE]
        derived = (1 - shown).prod(1, keepdim=True)
        learnt = prob[:, NEGATIVE:]
        negative = {"derived": derived, "learnt": learnt, "mixed": (derived + learnt) / 2}
        weighted = shown * image_prob[:NEGATIVE] ** self.image_exponent
        return torch.cat([weighted, negative[self.negative]], dim=1), image_prob


def _mean(values: Tensor, left_out: Tensor | None) -> Tensor:
    """Mean of (B,) values but those left out; 0, with a gradient of 0, where none is left."""
    kept = values if left_out is None else values[~left_out]
    return kept.mean() if len(kept) else kept.sum()


def _head(feature_dim: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        Standardize(feature_dim),
        nn.Dropout(dropout),
        nn.Linear(feature_dim, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, NUM_LOCALIZATIONS),
    )
