"""Features on disk: the same as in memory, kept over kills, shared by processes, mapped."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from hpa_mmdet.errors import InputError
from hpa_mmdet.fit import feature_store, mapped_rows
from hpa_mmdet.fit.exponents import choose_exponents
from hpa_mmdet.fit.feature_cache import FeatureCache, cache_features, join_caches
from hpa_mmdet.fit.feature_store import FeatureStore, open_features, weights_digest
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.fit.mapped_rows import MappedRows
from hpa_mmdet.fit.predictions import predict_bags
from hpa_mmdet.fit.thresholds import choose_thresholds
from hpa_mmdet.models.localization_branch import LocalizationBranch

COUNT = 11
LENGTH = 6


class Images(torch.utils.data.Dataset):
    """Images of 0 to 4 cells; features and labels follow from the place and numpy's generator."""

    def __init__(self, folder: Path) -> None:
        self.ann_file = str(folder / "train.json")
        self.folder = folder
        if not Path(self.ann_file).is_file():
            Path(self.ann_file).write_text("{}")
            for place in range(COUNT):
                (folder / f"{place}.png").write_text(str(place))

    def __len__(self) -> int:
        return COUNT

    def get_data_info(self, place: int) -> dict[str, Any]:
        return {"channel_paths": {"green": str(self.folder / f"{place}.png")}}

    def __getitem__(self, place: int) -> dict[str, Any]:
        count = place % 5
        cells = torch.from_numpy(np.random.normal(size=(count, LENGTH))).float()  # noqa: NPY002
        labels = torch.eye(19)[place % 3]
        sample = SimpleNamespace(
            gt_instances=InstanceData(
                localizations=labels.repeat(count, 1),
                cell_ids=torch.arange(count) * 3 + 1,
                reviewed=torch.arange(count) == 1,
            ),
            hpa_id=f"image-{place}",
            image_labels=labels,
            get=lambda name, default: {"cells_left_out": 2, "labels_are_exact": place == 4}.get(
                name, default
            ),
        )
        return {"inputs": cells, "data_samples": sample}


class Model:
    """Its features are the inputs; counts the images that it was asked about."""

    def __init__(self) -> None:
        self.asked = 0

    def eval(self) -> None:
        """Have no modes."""

    def data_preprocessor(self, batch: list[dict[str, Any]], training: bool) -> dict[str, Any]:
        return {key: [item[key] for item in batch] for key in ("inputs", "data_samples")}

    def describe_cells(self, inputs: list[Tensor], samples: list[Any]) -> tuple[Any, Any, Any]:
        self.asked += len(inputs)
        means = [cells.sum(0) / max(len(cells), 1) for cells in inputs]
        return inputs, torch.stack(means), torch.stack([one.image_labels for one in samples])


def build_loader(dataset: Any, places: list[int]) -> Any:
    class Batches:
        def __iter__(self) -> Any:
            for start in range(0, len(places), 2):
                yield [dataset[place] for place in places[start : start + 2]]

    return Batches()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_store, "PART_IMAGES", 3)
    monkeypatch.setattr(feature_store, "_shown", lambda loader, total: loader)


def store(folder: Path, *depends_on: object, seed: int = 5) -> FeatureStore:
    (folder / "data").mkdir(exist_ok=True)
    return FeatureStore(folder / "features", "fit", Images(folder / "data"), depends_on, seed)


def expected(folder: Path, seed: int = 5) -> FeatureCache:
    items = feature_store._SeededItems(Images(folder / "data"), seed)
    return cache_features(Model(), [[items[place]] for place in range(COUNT)])


def assert_same(found: FeatureCache, wanted: FeatureCache) -> None:
    everything = torch.arange(len(wanted.counts))
    for one, other in zip(found.select(everything), wanted.select(everything), strict=True):
        if isinstance(other, Tensor):
            torch.testing.assert_close(one.to(other.dtype), other, rtol=1e-3, atol=1e-3)
        else:
            assert one == other


def test_memory_may_go_back_after_each_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    target = "hpa_mmdet.fit.feature_cache.give_back_where_scarce"
    monkeypatch.setattr(target, lambda: calls.append(1))
    (tmp_path / "data").mkdir()
    expected(tmp_path)
    assert len(calls) == COUNT


@pytest.mark.parametrize("limit", [2**28, 0], ids=["loaded", "mapped"])
def test_features_are_those_of_memory(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_store, "IN_MEMORY_BYTES", limit)
    kept = store(tmp_path)
    kept.compute(Model(), build_loader)
    assert [path.name for path in kept.paths()] == [f"fit-{at:06}.safetensors" for at in range(4)]
    found = open_features(kept.paths())
    assert isinstance(found.cells, Tensor) is bool(limit)
    assert_same(found, expected(tmp_path))
    assert kept.left_out() == 2 * COUNT
    some = torch.tensor([9, 0, 4])
    assert_same(found.select(some), expected(tmp_path).select(some))
    two = open_features([*kept.paths(), *kept.paths()])
    assert_same(two, join_caches([expected(tmp_path)] * 2))


def test_a_killed_run_keeps_what_it_has_and_ends_with_the_same(tmp_path: Path) -> None:
    class Killed(Model):
        def describe_cells(self, inputs: list[Tensor], samples: list[Any]) -> Any:
            if self.asked >= 7:
                raise KeyboardInterrupt
            return super().describe_cells(inputs, samples)

    with pytest.raises(KeyboardInterrupt):
        store(tmp_path).compute(Killed(), build_loader)
    assert sum(path.is_file() for path in store(tmp_path).paths()) == 2
    again = Model()
    store(tmp_path).compute(again, build_loader)
    assert again.asked == COUNT - 6
    assert_same(open_features(store(tmp_path).paths()), expected(tmp_path))
    last = Model()
    store(tmp_path).compute(last, build_loader)
    assert last.asked == 0


def test_what_features_depend_on_makes_them_anew(tmp_path: Path) -> None:
    store(tmp_path, "weights").compute(Model(), build_loader)
    for changed, count in (("others", COUNT), ("others", 0)):
        model = Model()
        store(tmp_path, changed).compute(model, build_loader)
        assert model.asked == count
    (tmp_path / "data" / "4.png").write_text("another image")
    model = Model()
    store(tmp_path, "others").compute(model, build_loader)
    assert model.asked == 3  # the part of the image that changed


def test_processes_share_the_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    folder = store(tmp_path)  # one data set for both
    for rank in range(2):
        monkeypatch.setattr(feature_store, "get_dist_info", lambda rank=rank: (rank, 2))
        model = Model()
        folder.compute(model, build_loader)
        asked.append(model.asked)
    assert asked == [6, 5]
    assert_same(open_features(folder.paths()), expected(tmp_path))


def test_a_part_that_somebody_changed_is_said(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.compute(Model(), build_loader)
    kept.paths()[1].write_bytes(b"something else")
    with pytest.raises(InputError, match=r"fit-000001.safetensors: is not as train wrote it"):
        kept.compute(Model(), build_loader)


def test_the_fit_and_all_choices_are_the_same_from_mapped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store(tmp_path)
    kept.compute(Model(), build_loader)
    results = []
    for limit, remap in ((2**28, 2**28), (0, 64)):  # the second maps anew all the time
        monkeypatch.setattr(feature_store, "IN_MEMORY_BYTES", limit)
        monkeypatch.setattr(mapped_rows, "_MAPPED_BYTES", remap)
        cache = open_features(kept.paths())
        torch.manual_seed(0)
        branch = LocalizationBranch(LENGTH, {"type": "BagLoss"}, hidden=(0, 4))
        model = SimpleNamespace(localization=branch)
        history = fit_heads(model, cache, epochs=3, batch_images=4)
        choices = choose_exponents(branch, predict_bags(model, cache), by_images=True)
        bags = predict_bags(model, cache)
        choices = choices, choose_thresholds(branch, bags)
        results.append((history, choices[0], choices[1].tolist()))
    assert results[0] == results[1]


def test_rows_of_several_files_are_picked_as_from_one(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.compute(Model(), build_loader)
    whole = expected(tmp_path).cells
    rows = MappedRows(kept.paths(), "cells")
    assert rows.shape == tuple(whole.shape)
    assert len(rows) == len(whole)
    order = torch.tensor([19, 0, 1, 2, 7, 6, 19])
    torch.testing.assert_close(rows[order], whole[order], rtol=1e-3, atol=1e-3)
    chosen = torch.arange(len(whole)) % 3 == 1
    torch.testing.assert_close(rows[chosen], whole[chosen], rtol=1e-3, atol=1e-3)
    assert rows[torch.zeros(0, dtype=torch.long)].shape == (0, LENGTH)


def test_the_digest_of_weights_follows_every_tensor() -> None:
    network = torch.nn.Linear(2, 3)
    before = weights_digest(network)
    assert weights_digest(network) == before
    with torch.no_grad():
        network.bias[1] += 1e-3
    assert weights_digest(network) != before
