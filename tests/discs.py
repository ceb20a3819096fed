"""A small data set and a small model.

The pictures are discs on black, not cells: enough to run every line, not to learn from.
"""

import copy
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.io.label_images import write_label_image

TINY_BACKBONE = "test_efficientnet"  # timm's own network for tests, 0.4 M parameters
TINY_CHANNELS = (24, 32, 48, 64)


def tiny_options(epochs: int, views: int = 1) -> list[str]:
    """Words after --cfg-options for a run of seconds: a small network, no workers, a short fit.

    `views` is how often the network sees an image.
    """
    network = {
        f"{part}.{key}": value
        for part in ("model.backbone", "model.localization.backbone")
        for key, value in (("model_name", TINY_BACKBONE), ("weights", None))
    }
    options = {
        **network,
        "model.neck.in_channels": str(list(TINY_CHANNELS)).replace(" ", ""),
        "model.localization.feature_dim": 2 * views * sum(TINY_CHANNELS),
        "train_dataloader.num_workers": 0,
        "train_dataloader.persistent_workers": False,
        "train_cfg.fit.dataloader.num_workers": 0,
        "train_cfg.fit.more_dataloaders.0.num_workers": 0,
        "train_cfg.fit.epochs": epochs,
        # mmengine keeps both by name for as long as the process lives
        "visualizer.name": f"run_{secrets.token_hex(4)}",
        "experiment_name": f"run_{secrets.token_hex(4)}",
    }
    return [f"{key}={value}" for key, value in options.items()]


def draw_discs(shape_hw: tuple[int, int], count: int, seed: int) -> NDArray[np.uint8]:
    """Draw a label image of up to `count` discs with ids 3, 6, 9, ...; later ones on top."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape_hw[0], : shape_hw[1]]
    label_image = np.zeros(shape_hw, np.uint8)
    for number in range(1, count + 1):
        y, x = rng.integers(shape_hw)
        radius = rng.integers(10, 18)
        label_image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = 3 * number
    return label_image


def write_discs(
    folder: Path, image_ids: Sequence[str], shape_hw: tuple[int, int] = (96, 128)
) -> None:
    """Write a data set: images/, masks/ and train.csv, in the contest's layout.

    Args:
        folder: where; made if missing.
        image_ids: one image each; the k-th has the labels k and k + 5 (modulo 18).
        shape_hw: of every image.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows = ["ID,Label"]
    for number, image_id in enumerate(image_ids):
        label_image = draw_discs(shape_hw, 5, seed=number)
        rng = np.random.default_rng(1000 + number)
        for channel in CHANNELS:
            pixels = rng.integers(0, 20, shape_hw) + 120 * (label_image > 0)
            Image.fromarray(pixels.astype(np.uint8)).save(images / f"{image_id}_{channel}.png")
        write_label_image(folder / "masks" / f"{image_id}_mask.png", label_image)
        rows.append(f"{image_id},{number % 18}|{(number + 5) % 18}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def shrink_model(model: dict[str, Any]) -> dict[str, Any]:
    """Make a config of `HpaMaskRCNN` tiny and free of downloaded weights.

    Args:
        model: of a shipped config; not changed.

    Returns:
        The same model on timm's `test_efficientnet` with random weights.
    """
    small = copy.deepcopy(dict(model))
    small["neck"]["in_channels"] = list(TINY_CHANNELS)
    for backbone in (small["backbone"], small["localization"]["backbone"]):
        if backbone is not None:
            backbone.update(model_name=TINY_BACKBONE, weights=None, norm_eval=True)
    small["localization"]["feature_dim"] = 2 * sum(TINY_CHANNELS)
    return small
