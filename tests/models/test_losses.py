"""Bag losses against their formulas written out cell by cell."""

import math

import pytest
import torch
from torch import Tensor

from hpa_mmdet.models.losses import BagLoss, InheritedLoss

# two images: cells 0, 2, 3 of the first, cell 1 of the second; two classes
LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.3], [-3.0, 1.5], [0.0, -0.7]])
BAG = torch.tensor([0, 1, 0, 0])
LABELS = torch.tensor([[1, 0], [0, 1]])


def pooled_by_hand(probs: list[float], pooling: str) -> float:
    count = len(probs)
    if pooling == "mean":
        return sum(probs) / count
    if pooling == "noisy_or":
        return 1 - math.prod(1 - p for p in probs)
    if pooling == "log_sum_exp":
        return math.log(sum(math.exp(5 * p) for p in probs) / count) / 5
    top = sorted(probs, reverse=True)[: math.ceil(0.5 * count)]
    return sum(top) / len(top)


@pytest.mark.parametrize("pooling", ["mean", "log_sum_exp", "noisy_or", "top_share"])
def test_bag_loss_is_its_formula(pooling: str) -> None:
    total = 0.0
    for image in range(2):
        probs = torch.sigmoid(LOGITS[image == BAG])
        for k in range(2):
            cells = probs[:, k].tolist()
            if LABELS[image, k]:
                total -= math.log(pooled_by_hand(cells, pooling))
            else:
                total -= 0.5 * sum(math.log(1 - p) for p in cells) / len(cells)
    loss = BagLoss(pooling, absent_weight=0.5)(LOGITS, BAG, LABELS)
    assert loss.item() == pytest.approx(total / 2, rel=1e-5)


def test_inherited_loss_is_cross_entropy_averaged_per_image() -> None:
    loss = InheritedLoss(label_smoothing=0.1)(LOGITS, BAG, LABELS)
    total = 0.0
    for image in range(2):
        probs = torch.sigmoid(LOGITS[image == BAG])
        targets = LABELS[image] * 0.8 + 0.1
        each = -(targets * probs.log() + (1 - targets) * (1 - probs).log()).sum(1)
        total += each.mean().item()
    assert loss.item() == pytest.approx(total / 2, rel=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "log_sum_exp", "noisy_or", "top_share"])
def test_the_order_of_cells_and_an_image_without_cells_change_nothing(pooling: str) -> None:
    loss = BagLoss(pooling)
    order = torch.tensor([3, 1, 0, 2])
    more = torch.cat([LABELS, torch.ones(1, 2, dtype=torch.long)])  # a third, empty image
    expected = loss(LOGITS, BAG, LABELS)
    torch.testing.assert_close(loss(LOGITS[order], BAG[order], more), expected)


@pytest.mark.parametrize("pooling", ["mean", "log_sum_exp", "noisy_or", "top_share"])
def test_gradients_are_finite_for_extreme_logits(pooling: str) -> None:
    logits = (LOGITS * 40).requires_grad_()
    BagLoss(pooling)(logits, BAG, LABELS).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [BagLoss(), InheritedLoss()], ids=["bag", "inherited"])
def test_no_cells_give_zero_with_a_gradient(loss: torch.nn.Module) -> None:
    logits = torch.zeros(0, 2, requires_grad=True)
    result: Tensor = loss(logits, torch.zeros(0, dtype=torch.long), LABELS)
    result.backward()
    assert result.item() == 0


def test_a_pooling_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="pooling: found 'median', expected one of mean"):
        BagLoss("median")
