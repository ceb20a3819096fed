"""Data of bench_weak_labels.py: images drawn once, features computed once."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.cli.synthesize import main as synthesize
from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.fit.feature_cache import (
    FeatureCache,
    cache_features,
    load_cache,
    save_cache,
)

CONFIG = Path(__file__).parents[1] / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"


@dataclass(frozen=True)
class Split:
    """Features of one half.

    Args:
        cells: with the true labels of cells as `cell_targets`.
        exact: the same images with another channel in place of the protein's.
        grouping: the antibodies of the images; None where each image is for itself.
    """

    cells: FeatureCache
    exact: FeatureCache | None = None
    grouping: Grouping | None = None

    @property
    def groups(self) -> list[str]:
        """What each image belongs to."""
        names = list(self.cells.hpa_ids)
        return names if self.grouping is None else self.grouping.groups_of(names)

    def truth(self) -> NDArray[np.bool_]:
        """(N, K) what each cell shows."""
        assert self.cells.cell_targets is not None
        return self.cells.cell_targets.numpy() > 0

    def image_of(self) -> NDArray[np.intp]:
        """(N,) number of the image of each cell."""
        return np.repeat(np.arange(len(self.cells.images)), self.cells.counts.numpy())


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the data, and of where they lie."""
    add = parser.add_argument
    add("--layout", type=Path, help="real outlines and label sets; without it --share's data")
    add("--share", type=float, help="controlled: share of cells that show each image label")
    add("--work-dir", type=Path, default=Path("work_dirs/weak_labels"))
    add("--images", type=int, default=360)
    add("--test-images", type=int, default=120)
    add("--size", type=int, default=640, help="of the longer side, in pixels")
    add("--workers", type=int, default=2, help="processes that draw the images")


def make_images(data: Path, args: argparse.Namespace, seed: int) -> None:
    if (data / "truth/test/cells.json").is_file():
        return
    kind = ["--layout", str(args.layout)] if args.layout else ["--share", str(args.share or 0.7)]
    options = {
        "--images": args.images,
        "--test-images": args.test_images,
        "--workers": args.workers,
        "--seed": seed,
    }
    flat = [word for name, value in options.items() for word in (name, str(value))]
    size = ["--size", str(args.size), str(args.size)]
    if synthesize([str(data), *kind, *flat, *size, "--overwrite"]) != 0:
        raise SystemExit("bench_weak_labels: the images were not drawn, see above")


# file of features: (half of the data, whether another channel stands in for the protein)
PARTS = {"train": ("train", False), "train_exact": ("train", True), "test": ("test", False)}


def compute_part(folder: Path, part: str) -> None:
    """Compute the features of one part, if they are not there."""
    path = folder / f"{part}.npz"
    if not path.is_file():
        save_cache(path, _compute(folder / "data", *PARTS[part]))


def load_splits(folder: Path) -> tuple[Split, Split]:
    """Load what `compute_part` kept."""
    # the rows learn from image labels, so the truth of the cells is not taken for a review
    train, exact, test = (
        load_cache(folder / f"{part}.npz")._replace(reviewed=None) for part in PARTS
    )
    table = folder / "data/train_groups.csv"
    grouping = Grouping(table, "antibody") if table.is_file() else None
    return Split(train, exact, grouping), Split(test)


def _compute(data: Path, split: str, exact: bool) -> FeatureCache:
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.logging import MMLogger
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner, set_random_seed

    import hpa_mmdet.datasets
    import hpa_mmdet.models  # noqa: F401

    init_default_scope("mmdet")
    MMLogger.get_current_instance().setLevel("WARNING")  # it lists every weight
    set_random_seed(0)
    config = Config.fromfile(CONFIG)
    model = MODELS.build(config.model)
    model.init_weights()
    loader = config.fit_dataloader.to_dict()
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    dataset = loader["dataset"]
    dataset["ann_file"] = str(data / "truth" / split / "cells.json")
    dataset["data_prefix"] = {"img": str(data / split)}
    if exact:
        swap = {"type": "SubstituteChannel", "sources": ["red", "yellow", "black"], "prob": 1.0}
        dataset["pipeline"].insert(2, swap)
    return cache_features(model, Runner.build_dataloader(loader, seed=0))
