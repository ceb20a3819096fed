"""The ways to balance draw classes as often as they say."""

from typing import Any

import pytest
import torch

from hpa_mmdet.datasets.bag_sampler import BalancedSampler, draw_chances
from hpa_mmdet.errors import InputError

LABELS = [[0]] * 90 + [[5]] * 9 + [[0, 7]]


class Items:
    def __init__(self, labels: list[list[int]] = LABELS) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def get_image_info(self, index: int) -> dict[str, Any]:
        return {"image_labels": self.labels[index]}


def drawn(balance: str, epochs: int = 30, **options: Any) -> torch.Tensor:
    """(100,) how often each item was drawn, on average over the epochs."""
    sampler = BalancedSampler(Items(), balance=balance, seed=0, **options)
    counts = torch.zeros(100)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for index in sampler:
            counts[index] += 1 / epochs
    return counts


def test_without_balance_each_item_is_seen_once_in_another_order() -> None:
    assert torch.allclose(drawn("none"), torch.ones(100))
    sampler = BalancedSampler(Items(), seed=0)
    orders = [list(sampler)]
    sampler.set_epoch(1)
    assert sorted(orders[0]) == list(range(100))
    assert list(sampler) != orders[0]


def test_uniform_draws_each_class_as_often() -> None:
    counts = drawn("uniform", 200)
    assert float(counts[90:99].sum()) == pytest.approx(100 / 3, rel=0.1)
    # the last item: a third for class 7, and its share of class 0
    assert float(counts[99]) == pytest.approx(100 / 3 * (1 + 1 / 91), rel=0.1)


def test_weights_are_the_mean_over_the_classes_of_an_item() -> None:
    chances = draw_chances(LABELS, "weights")
    assert float(chances.sum()) == pytest.approx(1)
    assert float(chances[90] / chances[0]) == pytest.approx(91 / 9)
    assert float(chances[99] / chances[0]) == pytest.approx((1 + 1 / 91) / 2 * 91)
    counts = drawn("weights", 200)
    assert float(counts[90:99].sum()) == pytest.approx(float(chances[90:99].sum()) * 100, rel=0.1)


def test_repeat_is_the_factor_of_lvis() -> None:
    counts = drawn("repeat", 60, threshold=0.36)
    assert torch.allclose(counts[:90], torch.ones(90))
    assert float(counts[90:99].mean()) == pytest.approx(2.0, rel=0.1)
    assert float(counts[99]) == pytest.approx(6.0, rel=0.01)


def test_items_without_labels_are_not_drawn_and_some_must_have_one() -> None:
    chances = draw_chances([[], [3]], "uniform")
    assert chances.tolist() == [0, 1]
    with pytest.raises(InputError, match="no item with a label"):
        BalancedSampler(Items([[], []]), balance="uniform", seed=0)
    with pytest.raises(InputError, match="found 'rare', expected none, uniform, weights, repeat"):
        BalancedSampler(Items(), balance="rare", seed=0)
