"""Bag losses against their formulas written out cell by cell."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hpa_mmdet.models.losses import (
    AsymmetricInheritedLoss,
    BagLoss,
    CellLoss,
    InheritedLoss,
    effective_number_weights,
)

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
        by_cell = -(targets * probs.log() + (1 - targets) * (1 - probs).log()).sum(1)
        total += by_cell.mean().item()
    assert loss.item() == pytest.approx(total / 2, rel=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "log_sum_exp", "noisy_or", "top_share", "attention"])
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


def test_attention_weighs_cells_by_their_own_logits() -> None:
    loss = BagLoss("attention", sharpness=5.0)  # starts from s = 1
    total = 0.0
    for image in range(2):
        logits = LOGITS[image == BAG]
        for k in range(2):
            cells = logits[:, k].tolist()
            probs = [1 / (1 + math.exp(-z)) for z in cells]
            if LABELS[image, k]:
                weights = [math.exp(z) for z in cells]
                pooled = sum(w * p for w, p in zip(weights, probs, strict=True)) / sum(weights)
                total -= math.log(pooled)
            else:
                total -= sum(math.log(1 - p) for p in probs) / len(probs)
    assert loss(LOGITS, BAG, LABELS).item() == pytest.approx(total / 2, rel=1e-5)


def test_attention_is_learnt() -> None:
    loss = BagLoss("attention")
    loss(LOGITS, BAG, LABELS).backward()
    assert loss.attention.grad is not None
    assert loss.attention.grad[0] != 0  # class 0 is the label of an image with three cells
    assert not loss.attention.grad[2:].any()


@pytest.mark.parametrize(
    ("positive", "negative", "margin"),
    [
        pytest.param(0.0, 4.0, 0.05, id="asymmetric"),
        pytest.param(2.0, 2.0, 0.0, id="focal"),
        pytest.param(0.0, 0.0, 0.0, id="cross-entropy"),
    ],
)
def test_asymmetric_loss_is_its_formula(positive: float, negative: float, margin: float) -> None:
    total = 0.0
    for image in range(2):
        probs = torch.sigmoid(LOGITS[image == BAG]).tolist()
        for cell in probs:
            for k, p in enumerate(cell):
                low = max(p - margin, 0)
                if LABELS[image, k]:
                    total -= (1 - p) ** positive * math.log(p) / len(probs)
                else:
                    total -= low**negative * math.log(1 - low) / len(probs)
    loss = AsymmetricInheritedLoss(positive, negative, margin)(LOGITS, BAG, LABELS)
    assert loss.item() == pytest.approx(total / 2, rel=1e-5)


def test_asymmetric_loss_without_focus_is_the_inherited_one() -> None:
    plain = InheritedLoss()(LOGITS, BAG, LABELS)
    torch.testing.assert_close(AsymmetricInheritedLoss(0, 0, 0)(LOGITS, BAG, LABELS), plain)


def test_cells_are_learnt_from_their_own_labels() -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.25], [0.0, 0.0], [1.0, 1.0]])
    by_cell = F.binary_cross_entropy_with_logits(LOGITS, targets, reduction="none").sum(1)
    expected = (by_cell[[0, 2, 3]].mean() + by_cell[1]) / 2
    torch.testing.assert_close(CellLoss()(LOGITS, BAG, LABELS, targets), expected)
    inherited = LABELS[BAG].float()
    torch.testing.assert_close(
        CellLoss()(LOGITS, BAG, LABELS, inherited), InheritedLoss()(LOGITS, BAG, LABELS)
    )
    with pytest.raises(ValueError, match="found no labels of single cells"):
        CellLoss()(LOGITS, BAG, LABELS)


def test_rare_classes_weigh_more_by_their_effective_number() -> None:
    weights = effective_number_weights(torch.tensor([100, 2, 0]), 0.9)
    raw = [(1 - 0.9) / (1 - 0.9**count) for count in (100, 2, 1)]
    assert weights.tolist() == pytest.approx([3 * weight / sum(raw) for weight in raw], rel=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda balance: BagLoss(balance=balance), id="bag"),
        pytest.param(lambda balance: InheritedLoss(balance=balance), id="inherited"),
        pytest.param(lambda balance: AsymmetricInheritedLoss(balance=balance), id="asymmetric"),
    ],
)
def test_class_weights_multiply_each_class(make) -> None:
    counts = torch.tensor([30, 3])
    by_class = []
    for k in range(2):
        by_class.append(make(None)(LOGITS[:, [k]], BAG, LABELS[:, [k]]))
    loss = make(0.99)
    assert loss(LOGITS, BAG, LABELS) == pytest.approx(float(sum(by_class)))  # not measured yet
    loss.measure_classes(counts)
    weights = effective_number_weights(counts, 0.99)
    expected = float(weights[0] * by_class[0] + weights[1] * by_class[1])
    assert loss(LOGITS, BAG, LABELS).item() == pytest.approx(expected, rel=1e-5)
    assert not any("class_weight" in name for name in loss.state_dict())


def test_a_beta_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="balance: found 1, expected 0 to below 1, or None"):
        BagLoss(balance=1)
