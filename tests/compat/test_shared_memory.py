"""Loaders start as many workers as /dev/shm has room for, and a dead one is explained."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpa_mmdet.compat import runner, shared_memory
from hpa_mmdet.compat.runner import HpaRunner
from hpa_mmdet.compat.shared_memory import (
    bytes_of_batch,
    fitting_workers,
    free_shared_memory,
    loader_that_died,
)


class Images(torch.utils.data.Dataset):
    """40 images of 3 channels, the largest 30 x 50 pixels."""

    pipeline = SimpleNamespace(transforms=[SimpleNamespace(channels=("r", "g", "b"), scale=2.0)])

    def __len__(self) -> int:
        return 40

    def get_data_info(self, index: int) -> dict[str, Any]:
        return {"height": 30 if index == 7 else 20, "width": 50}

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"inputs": torch.full((3, 30, 50), index)}


def test_a_batch_is_as_large_as_its_largest_images() -> None:
    wanted = 2 * 3 * 30 * 50 * 2.0**2 * 1.6
    assert bytes_of_batch(Images(), 2) == int(wanted)
    assert bytes_of_batch(SimpleNamespace(dataset=Images()), 2) == int(wanted)  # a wrapper
    assert bytes_of_batch([1, 2, 3], 2) == 0  # says nothing of sizes


@pytest.mark.parametrize(
    ("free", "expected"), [(10_000, 4), (1500, 4), (1499, 3), (374, 0), (0, 0)]
)
def test_workers_fit_into_four_fifths_of_what_is_free(free: int, expected: int) -> None:
    assert fitting_workers(4, 100, prefetch=2, free_bytes=free) == expected


def test_without_shared_memory_nothing_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", shared_memory.SHARED_MEMORY / "none")
    assert free_shared_memory() is None
    assert fitting_workers(4, 10**12) == 4


@pytest.mark.parametrize(("free", "workers"), [(10**9, 2), (90_000, 0)])
def test_a_loader_has_as_many_workers_as_fit(
    free: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_memory, "free_shared_memory", lambda: free)
    config = {
        "dataset": Images(),
        "batch_size": 2,
        "num_workers": 2,
        "persistent_workers": True,
        "prefetch_factor": 2,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }
    said: list[str] = []
    monkeypatch.setattr(runner, "print_log", lambda text, *rest: said.append(text))
    loader = HpaRunner.build_dataloader(config, seed=0)
    assert loader.num_workers == workers
    assert loader.timeout == (shared_memory.ANSWER_S if workers else 0)
    assert bool(said) is (workers == 0)
    if said:
        assert "0 workers are used, which is slower. Give the container more (docker run" in said[0]
        assert [batch["inputs"][0][0, 0, 0].item() for batch in loader][:2] == [0, 2]
    assert config["num_workers"] == 2  # the config itself stays


@pytest.mark.parametrize(
    ("text", "explained"),
    [
        ("DataLoader worker (pid 7) is killed by signal: Bus error.", True),
        ("DataLoader timed out after 900 seconds", True),
        ("CUDA out of memory", False),
    ],
)
def test_a_loader_that_died_is_explained(text: str, explained: bool) -> None:
    found = loader_that_died(RuntimeError(text))
    assert (found is not None) is explained
    if found is not None:
        assert "a full /dev/shm (docker --shm-size=8g)" in str(found)
