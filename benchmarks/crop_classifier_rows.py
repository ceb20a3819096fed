"""Rows of bench_crop_classifier.py: what each classifier learns from, and how it is trained."""

import contextlib
import io
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpa_mmdet.cli.train import main as train

CONFIGS = Path(__file__).parents[1] / "configs/crops"
LADDER = tuple(sorted(path.stem for path in CONFIGS.glob("ladder_*.py")))
FIT = "train_cfg.fit"
# every cell learns labels of its own, its Negative among them, and no evidence of the image
_PLAIN = {
    "model.localization.negative": "learnt",
    "model.localization.image_exponent": 0.0,
    "model.localization.cells_exponent": 0.0,
    "train_dataloader.dataset.substitute_prob": 0.0,
    f"{FIT}.more_dataloaders": "[]",
}


@dataclass(frozen=True)
class Row:
    """One way of learning.

    Args:
        name: in the table.
        options: changes of the config, as --cfg-options takes them.
        config: file of configs/crops.
        beside: row of bench_weak_labels.py whose heads on frozen features are averaged in.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    config: str = "crop_lite0_bag-lse_cpu"
    beside: str | None = None


ROWS: tuple[Row, ...] = (
    Row(
        "inherited", {**_PLAIN, "model.localization.loss.type": "InheritedLoss"}, beside="inherited"
    ),
    Row("best combination", beside="best combination"),
    Row(
        "best combination, frozen",
        {"train_cfg.max_epochs": 0, "param_scheduler": None},
        beside="best combination",
    ),
    Row(
        "best combination, two views, frozen",
        config="crop_lite0_views_cpu",
        beside="best combination",
    ),
    Row(
        "true labels of cells",
        {**_PLAIN, "model.localization.loss.type": "CellLoss"},
        beside="true labels of cells",
    ),
    Row(
        "true labels of cells, two views, frozen",
        {**_PLAIN, "model.localization.loss.type": "CellLoss"},
        config="crop_lite0_views_cpu",
        beside="true labels of cells",
    ),
)


def train_row(
    row: Row,
    store: Path,
    size_px: int,
    work_dir: Path,
    seed: int,
    options: Sequence[str] = (),
) -> tuple[Path, Path]:
    """Train a row by tools/train.py, once.

    Args:
        row: what.
        store: to train on.
        size_px: of its crops.
        work_dir: of the run.
        seed: of the run.
        options: more changes of the config.

    Returns:
        The config as it was trained, and the checkpoint.
    """
    config = CONFIGS / f"{row.config}.py"
    found = work_dir / config.name, work_dir / "fitted.pth"
    if found[1].is_file():
        return found
    changes = dict(row.options)
    if "model.localization.loss.type" in changes:
        changes["model.localization.loss._delete_"] = True
    for loader in ("train_dataloader", f"{FIT}.dataloader"):
        changes[f"{loader}.dataset.store"] = store
        changes[f"{loader}.dataset.crop.size_px"] = size_px
        changes[f"{loader}.num_workers"] = 0
    changes["train_dataloader.persistent_workers"] = False
    changes["model.data_preprocessor.crop.size_px"] = size_px
    if f"{FIT}.more_dataloaders" not in changes and "ladder" not in row.config:
        exact = f"{FIT}.more_dataloaders.0"
        changes[f"{exact}.dataset.store"] = store
        changes[f"{exact}.dataset.crop.size_px"] = size_px
        changes[f"{exact}.num_workers"] = 0
    changes["visualizer.name"] = f"run_{secrets.token_hex(4)}"
    flat = [f"{key}={value}" for key, value in changes.items()]
    arguments = [str(config), "--work-dir", str(work_dir), "--seed", str(seed)]
    with contextlib.redirect_stdout(io.StringIO()):
        status = train([*arguments, "--cfg-options", *flat, *options])
    if status != 0:
        raise SystemExit(f"bench_crop_classifier: {row.name} was not trained, see above")
    return found
