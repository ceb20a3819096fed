"""The repeat-factor sampler: factors by hand, shares on average, processes, seeds."""

from collections import Counter
from typing import Any

import pytest
import torch

from hpa_mmdet.datasets import RepeatFactorSampler
from hpa_mmdet.datasets.samplers import repeat_factors


class Labelled:
    """16 images: all have class 2, four have class 7, one has class 11."""

    def __init__(self, count: int = 16) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"image_labels": [2, *([7] if index < 4 else []), *([11] if index == 0 else [])]}


def test_factors_are_lviss() -> None:
    labels = [Labelled().get_data_info(each)["image_labels"] for each in range(16)]
    factors = repeat_factors(labels, 0.5)
    assert factors.tolist() == pytest.approx([8**0.5, *[2**0.5] * 3, *[1.0] * 12])


def test_an_image_without_labels_is_seen_once() -> None:
    assert repeat_factors([[], [3]], 1.0).tolist() == pytest.approx([1, 2**0.5])


def test_images_are_seen_as_often_as_their_factor_on_average() -> None:
    sampler = RepeatFactorSampler(Labelled(), threshold=0.5, seed=1)
    seen: Counter[int] = Counter()
    for epoch in range(400):
        sampler.set_epoch(epoch)
        indices = list(sampler)
        assert len(indices) == len(sampler)
        assert set(indices) == set(range(16))
        seen.update(indices)
    assert [seen[each] / 400 for each in range(16)] == pytest.approx(
        sampler.factors.tolist(), abs=0.1
    )


def test_the_seed_and_the_epoch_decide_the_order() -> None:
    first, second = (RepeatFactorSampler(Labelled(), 0.5, seed=3) for _ in range(2))
    assert list(first) == list(second)
    second.set_epoch(1)
    assert list(first) != list(second)
    assert list(RepeatFactorSampler(Labelled(), 0.01, shuffle=False, seed=3)) == list(range(16))


def test_processes_share_an_epoch_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = []
    for rank in range(3):
        monkeypatch.setattr(
            "hpa_mmdet.datasets.samplers.get_dist_info", lambda rank=rank: (rank, 3)
        )
        sampler = RepeatFactorSampler(Labelled(), 0.5, seed=5)
        parts.append(list(sampler))
        assert len(sampler) == len(parts[-1])
    assert len({len(each) for each in parts}) == 1
    assert {each for part in parts for each in part} == set(range(16))
    assert torch.is_tensor(sampler.factors)
