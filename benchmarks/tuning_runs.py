"""Runs of bench_tuning.py: which images each learns from, how, and how it is scored.

N: test cells; K = 19.
"""

import contextlib
import io
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from numpy.typing import NDArray
from weak_label_data import CONFIG as FROZEN_CONFIG
from weak_label_data import Split
from weak_label_rows import predict

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.cli.split_coco import main as split
from hpa_mmdet.cli.train import main as train
from hpa_mmdet.fit.feature_cache import cache_features
from hpa_mmdet.inference.model_files import load_model
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.scoring.resampling import class_average_precisions

TUNED_CONFIG = FROZEN_CONFIG.with_name("hpa-mask-rcnn_lite0_fit-then-tune_demo.py")
_FIT = "train_cfg.fit"
_KEPT = re.compile(r"kept: best_\w+_epoch_(\d+)\.pth")


@dataclass(frozen=True)
class Row:
    """One way of learning.

    Args:
        name: in the table.
        config: of tools/train.py.
        options: changes of it.
        averages: other rows, whose scores are averaged; nothing is trained then.
    """

    name: str
    config: Path = FROZEN_CONFIG
    options: Mapping[str, Any] = field(default_factory=dict)
    averages: tuple["Row", ...] = ()


FROZEN = Row("frozen")
# what tuning starts from: it keeps images back to judge itself by
KEPT_BACK = Row(
    "frozen, images kept back",
    TUNED_CONFIG,
    {"model.localization.train_with_detector": False, "train_cfg.refit": False},
)
TUNED = Row("tuned", TUNED_CONFIG)
BOTH = Row("frozen and tuned, averaged", averages=(FROZEN, TUNED))
# two fits are better than one, whatever they learnt on
TWO_FROZEN = Row("both frozen, averaged", averages=(FROZEN, KEPT_BACK))
ROWS = (FROZEN, KEPT_BACK, TUNED, TWO_FROZEN, BOTH)


def draw_subset(data: Path, folder: Path, number: int, seed: int, val_share: float = 0.1) -> Path:
    """Write the JSON files of some of the drawn images; a larger number has the same and more.

    Args:
        data: what tools/synthesize.py wrote.
        folder: of the sizes.
        number: of images.
        seed: of the choice.
        val_share: of the images, which tuning judges itself by.

    Returns:
        A folder for --data-root of tools/train.py.
    """
    root = folder / f"images_{number}"
    if (root / "train_val.json").is_file():
        return root
    everything = folder / "train.json"
    if not everything.is_file():
        masks = ["--masks", str(data / "truth/train/masks"), "--labels", str(data / "train.csv")]
        _check(convert([str(data / "train"), *masks, "--out", str(everything), "--overwrite"]))
    known = choose_images(everything, number, seed)
    root.mkdir(parents=True, exist_ok=True)
    if not (root / "train").exists():
        (root / "train").symlink_to((data / "train").resolve(), target_is_directory=True)
    with atomic_path(root / "train.json") as temporary:
        temporary.write_text(json.dumps(known), encoding="utf-8")
    groups = data / "train_groups.csv"
    options = ["--val-share", str(val_share), "--overwrite"]
    if groups.is_file():
        options += ["--groups", str(groups), "antibody"]
    _check(split([str(root / "train.json"), *options]))
    return root


def choose_images(path: Path, number: int, seed: int) -> dict[str, Any]:
    """Take some images of a JSON, with their cells; see `draw_subset`."""
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if len(known["images"]) < number:
        raise SystemExit(
            f"bench_tuning: {path}: found {len(known['images'])} images, expected {number}; "
            "choose another --work-dir, and --images as many"
        )
    order = np.random.default_rng(seed).permutation(len(known["images"]))[:number]
    known["images"] = [known["images"][place] for place in sorted(order.tolist())]
    chosen = {image["id"] for image in known["images"]}
    known["annotations"] = [one for one in known["annotations"] if one["image_id"] in chosen]
    return known


def train_row(row: Row, root: Path, seed: int, options: Sequence[str] = ()) -> tuple[Path, Path]:
    """Train a row by tools/train.py, once.

    Args:
        row: what.
        root: of `draw_subset`.
        seed: of the run.
        options: more changes of the config, as --cfg-options takes them.

    Returns:
        The config as it was trained, and the checkpoint.
    """
    work_dir = root / row.name.replace(",", "").replace(" ", "_")
    found = work_dir / row.config.name, work_dir / "fitted.pth"
    if found[1].is_file():
        return found
    run = f"run_{secrets.token_hex(4)}"  # mmengine keeps what has a name for as long as we live
    changes = {"visualizer.name": run, "experiment_name": run, **row.options}
    loaders = [f"{_FIT}.dataloader", f"{_FIT}.more_dataloaders.0"]
    if row.config == TUNED_CONFIG:
        loaders += ["train_dataloader", "val_dataloader", f"{_FIT}.exponents_dataloader"]
    for loader in loaders:
        changes[f"{loader}.num_workers"] = 0
        changes[f"{loader}.persistent_workers"] = False
    flat = [f"{key}={value}" for key, value in changes.items()]
    arguments = [
        str(row.config), "--data-root", str(root), "--work-dir", str(work_dir),
        "--instances", "masks", "--seed", str(seed), "--resume",
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        _check(train([*arguments, "--cfg-options", *flat, *options]))
    return found


class NamedCells(NamedTuple):
    """(N, K) `truth` and `scores` of the test cells; the last `epoch` that tuning kept, or None."""

    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]
    epoch: int | None = None

    def ap(self) -> NDArray[np.float64]:
        """(K,) average precision over the test cells."""
        return class_average_precisions(self.truth, self.scores)[0]


def name_cells(
    row: Row, root: Path, data: Path, seed: int, options: Sequence[str] = ()
) -> NamedCells:
    """Name the test cells, whose masks are given, after training where that was not done yet.

    Args:
        row: how.
        root: of `draw_subset`.
        data: what tools/synthesize.py wrote.
        seed: of the run.
        options: more changes of the config, as --cfg-options takes them.
    """
    if row.averages:
        named = [name_cells(part, root, data, seed, options) for part in row.averages]
        return NamedCells(named[0].truth, np.mean([one.scores for one in named], axis=0))
    config, checkpoint = train_row(row, root, seed, options)
    kept = checkpoint.with_name("test_cells.npz")
    if not kept.is_file():
        truth, scores = _name_test_cells(config, checkpoint, data)
        with atomic_path(kept) as temporary, temporary.open("wb") as file:
            np.savez(file, truth=truth, scores=scores)
    with np.load(kept) as stored:
        return NamedCells(stored["truth"], stored["scores"], kept_epoch(checkpoint))


def _name_test_cells(
    config: Path, checkpoint: Path, data: Path
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    MMLogger.get_current_instance().setLevel("WARNING")  # it lists every weight
    loaded = load_model(config, checkpoint)
    loader = loaded.config.fit_dataloader.to_dict()
    loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    loader["dataset"]["ann_file"] = str(data / "truth/test/cells.json")
    loader["dataset"]["data_prefix"] = {"img": str(data / "test")}
    test = Split(cache_features(loaded.model, Runner.build_dataloader(loader, seed=0)))
    model: Any = loaded.model
    return test.truth(), predict(model.localization, test.cells)


def kept_epoch(checkpoint: Path) -> int | None:
    """Number of the epoch that the log says was kept: 0 where tuning was thrown away."""
    logs = sorted(checkpoint.parent.glob("*/*.log"))
    found = [_KEPT.findall(path.read_text(encoding="utf-8")) for path in logs]
    numbers = [int(number) for of_log in found for number in of_log]
    return numbers[-1] if numbers else None


def _check(status: int) -> None:
    if status != 0:
        raise SystemExit("bench_tuning: a tool failed, see above")
