"""A run of tools/train.py that takes seconds: discs, timm's test network, no workers."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hpa_mmdet.cli.convert_coco import main as convert

sys.path.append(str(Path(__file__).parents[1]))  # scripts outside the tests import this file too

from discs import TINY_BACKBONE, TINY_CHANNELS, write_discs

CONFIGS = Path(__file__).parents[2] / "configs"
BASES = ("_base_/models/hpa-mask-rcnn_lite0_fpn.py", "_base_/hpa_1x.py")

TINY = f"""
for part in (_base_.model.backbone, _base_.model.localization.backbone):
    part.model_name, part.weights = "{TINY_BACKBONE}", None
_base_.model.neck.in_channels = {list(TINY_CHANNELS)}
_base_.model.localization.feature_dim = {2 * sum(TINY_CHANNELS)}
for part in (_base_.train_dataloader, _base_.fit_dataloader, _base_.val_dataloader):
    part.num_workers, part.persistent_workers = 0, False
_base_.train_cfg.fit.dataloader = _base_.fit_dataloader
_base_.train_cfg.fit.exponents_dataloader.num_workers = 0
_base_.train_cfg.fit.more_dataloaders[0].num_workers = 0
_base_.train_cfg.fit.epochs = 2
_base_.train_cfg.max_epochs = 2
_base_.default_hooks.logger.interval = 1
_base_.model.test_cfg.rcnn.score_thr = 0.0
_base_.model.test_cfg.rcnn.max_per_img = 5
"""


def write_data(folder: Path, count: int = 4) -> None:
    """Write images a, b, ... and their JSON, both for training and for validation."""
    write_discs(folder, [chr(ord("a") + number) for number in range(count)])
    (folder / "images").rename(folder / "train")
    arguments = {"--masks": "masks", "--labels": "train.csv", "--out": "train.json"}
    flat = [part for key, name in arguments.items() for part in (key, str(folder / name))]
    assert convert([str(folder / "train"), *flat]) == 0
    for part in ("train", "val"):
        shutil.copy(folder / "train.json", folder / f"train_{part}.json")


def write_config(folder: Path, name: str, lines: str = "") -> Path:
    """Write a config of the real experiments' base on a tiny network.

    Args:
        folder: of the config.
        name: of the file, without .py; also of what mmengine keeps by name for as long as
            a process lives, so no two runs of a process may share it.
        lines: changes; `_base_` is at hand.
    """
    text = f"_base_ = {[str(CONFIGS / base) for base in BASES]}\n{TINY}{lines}\n"
    text += "del part\n"
    unique = f"{name}-{secrets.token_hex(4)}"
    text += f'_base_.visualizer.name = "{unique}"\nexperiment_name = "{unique}"\n'
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def start(arguments: list[str], before: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start the tool in a process of its own.

    Args:
        arguments: of the tool.
        before: Python that is run first; `main` then is the tool.
        environment: variables beside the present ones.
    """
    script = f"import sys\nfrom hpa_mmdet.cli.train import main\n{before}\nsys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def scalars(work_dir: Path) -> list[dict[str, Any]]:
    """Read what a run logged, of all its starts in turn."""
    return [
        json.loads(line)
        for path in sorted(work_dir.glob("*/vis_data/scalars.json"))
        for line in path.read_text().splitlines()
    ]


def losses(work_dir: Path) -> list[float]:
    """Read the loss of each step."""
    return [line["loss"] for line in scalars(work_dir) if "loss" in line]
