r"""Memory and time of the fit of the localization heads, whatever the number of images.

Draws features as a network of the given width would compute them (11.4 cells an image, and the
same images once more with exact labels, as the shipped configs do), writes them into a
`FeatureStore`, and fits the heads on the mapped files. --in-memory keeps them as tensors
instead, as small data sets do. Printed, as JSON: peak memory above that of the imports, bytes on
disk, seconds for writing, for an epoch, and for the choice of exponents and thresholds, and for
fewer images than the contest's what 21,806 would take.

    python benchmarks/bench_fit_memory.py                                # 1,500 images, ResNet-50
    python benchmarks/bench_fit_memory.py --in-memory
    python benchmarks/bench_fit_memory.py --images 21806 --length 336    # all, a tiny network
    python benchmarks/bench_fit_memory.py --images 21806 --epochs 1      # all, 8 GB of disk
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from bench_mask_memory import peak_mb, reset_peak_mb
from torch.utils.data import Dataset

from hpa_mmdet.compat import prepare

prepare()
from mmengine.structures import InstanceData  # noqa: E402

from hpa_mmdet.fit import feature_store  # noqa: E402
from hpa_mmdet.fit.exponents import choose_exponents  # noqa: E402
from hpa_mmdet.fit.feature_cache import cache_features, join_caches  # noqa: E402
from hpa_mmdet.fit.heads import fit_heads  # noqa: E402
from hpa_mmdet.fit.predictions import predict_bags  # noqa: E402
from hpa_mmdet.fit.thresholds import choose_thresholds  # noqa: E402
from hpa_mmdet.models import LocalizationBranch  # noqa: E402

CONTEST = 21806
CELLS = 11.4


class DrawnFeatures(Dataset[Any]):
    """Features in place of images; class k shows in feature k."""

    def __init__(self, folder: Path, count: int, length: int, exact: bool) -> None:
        self.count, self.length, self.exact = count, length, exact
        self.ann_file = str(folder)

    def __len__(self) -> int:
        return self.count

    def get_data_info(self, place: int) -> dict[str, Any]:
        """Have no files."""
        return {"channel_paths": {}}

    def __getitem__(self, place: int) -> Any:
        rng = np.random.default_rng([place, self.exact])
        labels = np.zeros(19, np.float32)
        labels[rng.choice(18, size=1 if self.exact else 2, replace=False)] = 1
        count = max(1, rng.poisson(CELLS))
        cells = rng.standard_normal((count, self.length), np.float32)
        cells[:, :19] += 3 * labels
        return torch.from_numpy(cells), torch.from_numpy(labels), f"drawn-{place}", self.exact


class DrawnModel:
    """Gives the features that it is given, and holds the heads."""

    def __init__(self, length: int) -> None:
        torch.manual_seed(0)
        self.localization = LocalizationBranch(
            length, {"type": "BagLoss", "pooling": "log_sum_exp"}
        )

    def eval(self) -> None:
        """Have no modes."""

    def data_preprocessor(self, batch: Any, training: bool) -> dict[str, Any]:
        """Make samples of drawn items."""
        return {**batch, "data_samples": [_sample(*item) for item in batch["inputs"]]}

    def describe_cells(self, inputs: Any, samples: Any) -> Any:
        """Give the drawn features; an image's are the mean of its cells'."""
        cells = [item[0] for item in inputs]
        images = torch.stack([item.mean(0) for item in cells])
        return cells, images, torch.stack([item[1] for item in inputs])


def _sample(cells: Any, labels: Any, name: str, exact: bool) -> Any:
    known = InstanceData(
        localizations=labels.repeat(len(cells), 1), cell_ids=torch.arange(len(cells))
    )
    about = {"labels_are_exact": exact}
    return SimpleNamespace(gt_instances=known, hpa_id=name, get=about.get)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=int, default=1500)
    add("--length", type=int, default=7680, help="features of a cell (ResNet-50: 7,680)")
    add("--epochs", type=int, default=2)
    add("--in-memory", action="store_true", help="keep all features as tensors")
    add("--work-dir", type=Path, help="where the store is kept (default: a temporary folder)")
    args = parser.parse_args()
    before = reset_peak_mb()
    with tempfile.TemporaryDirectory() as temporary:
        result = measure(args, args.work_dir or Path(temporary))
    result["peak_gb"] = round((peak_mb() - before) / 1024, 2)
    if args.images < CONTEST:
        factor = CONTEST / args.images
        result["contest"] = {"disk_gb": round(result["disk_gb"] * factor, 1)}
        grows = result["peak_gb"] if args.in_memory else 0.0
        result["contest"]["peak_gb"] = round(result["peak_gb"] + grows * (factor - 1), 1)
        result["contest"]["epoch_s"] = round(result["epoch_s"] * factor)
    print(json.dumps(result, indent=1))
    return 0


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    model = DrawnModel(args.length)
    sets = [DrawnFeatures(folder, args.images, args.length, exact) for exact in (False, True)]
    start = time.perf_counter()
    disk = 0.0
    if args.in_memory:
        cache = join_caches([cache_features(model, _batches(one, range(len(one)))) for one in sets])
    else:
        paths = []
        for number, one in enumerate(sets):
            store = feature_store.FeatureStore(folder / "features", f"fit-{number}", one, [])
            store.compute(model, _batches)
            paths += store.paths()
        cache = feature_store.open_features(paths)
        disk = sum(path.stat().st_size for path in paths) / 1e9
    written = time.perf_counter()
    fit_heads(model, cache, epochs=args.epochs)
    fitted = time.perf_counter()
    bags = predict_bags(model, cache)
    choose_exponents(model.localization, bags, by_images=True)
    choose_thresholds(model.localization, bags)
    return {
        "images": args.images,
        "cells": len(cache.cells),
        "length": args.length,
        "mapped": not isinstance(cache.cells, torch.Tensor),
        "disk_gb": round(disk, 2),
        "features_s": round(written - start, 1),
        "epoch_s": round((fitted - written) / args.epochs, 2),
        "choices_s": round(time.perf_counter() - fitted, 1),
    }


def _batches(dataset: Any, places: Any) -> Any:
    return ({"inputs": [dataset[place]], "data_samples": [None]} for place in places)


if __name__ == "__main__":
    sys.exit(main())
