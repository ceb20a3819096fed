"""What a crop classifier looked at: class-activation pictures of crops, a sheet per class.

N: crops; S: side of a crop in pixels; K = 19 localizations.

Source:
    Grad-CAM: Selvaraju et al. 2017, arXiv 1610.02391, as the package grad-cam computes it.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.datasets.crop_bags import CropBagDataset
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import LOCALIZATIONS, NEGATIVE, Localization
from hpa_mmdet.models.crop_classifier import CropClassifier
from hpa_mmdet.models.crop_pooling import pool_crops
from hpa_mmdet.models.crop_preprocessor import CropBatch
from hpa_mmdet.pages.draw import label_font

TILE_PX, BAND_PX = 160, 24


def explain_store(
    model: nn.Module, store: Path, out: Path, crops_per_class: int = 6, level: int = -1
) -> list[Path]:
    """Write a sheet for each class that the store's labels name.

    A sheet shows the crops that score highest among those whose label sets have the class, each
    above its class-activation picture: where the last map speaks for the class.

    Args:
        model: a `CropClassifier` with its weights.
        store: of crops cut as the model's.
        out: folder of the sheets, `<index>_<name>.jpg`.
        crops_per_class: columns of a sheet.
        level: which of the backbone's maps, finest first; -1 for the last.

    Returns:
        The sheets. Negative has none: it is the absence of all others.

    Raises:
        InputError: the model is no crop classifier, the store is cut otherwise, or the extra
            `explain` is not installed.
    """
    if not isinstance(model, CropClassifier):
        raise InputError(
            "config", type(model).__name__, "a CropClassifier", "give a config of configs/crops"
        )
    dataset = CropBagDataset(str(store), crop=model.data_preprocessor.crop.to_dict())
    scores = _scores(model, dataset)
    out.mkdir(parents=True, exist_ok=True)
    sheets = []
    for localization in LOCALIZATIONS:
        k = localization.hpa_index
        shown = np.flatnonzero(dataset.store.cells.localizations[:, k] > 0)
        if k == NEGATIVE or not len(shown):
            continue
        best = shown[np.argsort(-scores[shown, k], kind="stable")[:crops_per_class]]
        batch, pictures = _batch(model, dataset.store, best)
        heat = class_activation(model, batch, k, level)
        path = out / f"{k:02}_{localization.name.replace(' ', '_').lower()}.jpg"
        sheet = _draw(localization, pictures, heat, scores[best, k])
        with atomic_path(path) as temporary:
            Image.fromarray(sheet).save(temporary, format="JPEG", quality=88)
        sheets.append(path)
    return sheets


def class_activation(
    model: CropClassifier, batch: CropBatch, hpa_index: int, level: int = -1
) -> NDArray[np.float32]:
    """Compute the class-activation pictures of a class.

    Args:
        model: in evaluation mode.
        batch: N crops.
        hpa_index: the class.
        level: which of the backbone's maps.

    Returns:
        (N, S, S) in 0..1, each crop's own range; 0 where nothing speaks for the class.

    Raises:
        InputError: the extra `explain` is not installed.
    """
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError as error:
        raise InputError(
            "explain",
            problem=f"needs the package grad-cam ({error})",
            remedy="install the extra `explain` (pip install 'hpa-mmdet[explain]')",
        ) from error
    logits = _Logits(model, batch.coverage, level)
    targets = [ClassifierOutputTarget(hpa_index)] * len(batch.pixels)
    with GradCAM(model=logits, target_layers=[logits.watched]) as cam:
        heat: NDArray[np.float32] = cam(input_tensor=batch.pixels, targets=targets)
    return heat


class _Logits(nn.Module):
    """The cell head's logits of crops, with one map passed through a module to watch."""

    def __init__(self, model: CropClassifier, coverage: Tensor, level: int) -> None:
        super().__init__()
        self.model, self.coverage, self.level = model, coverage, level
        self.watched = nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        maps = list(self.model.backbone(pixels))
        maps[self.level] = self.watched(maps[self.level])
        logits: Tensor = self.model.localization.cell_head(pool_crops(maps, self.coverage))
        return logits.mean(0)


def _scores(model: CropClassifier, dataset: CropBagDataset) -> NDArray[np.float32]:
    found = []
    with torch.inference_mode():
        for index in range(len(dataset)):
            item = dataset[index]
            batch = {"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}
            found.append(model.test_step(batch)[0].pred_instances.localization_scores)
    return np.asarray(torch.cat(found).float().cpu())


def _batch(
    model: CropClassifier, store: CropStore, crops: NDArray[np.intp]
) -> tuple[CropBatch, NDArray[np.uint8]]:
    """Make the network's input of some crops, and grey pictures of what it sees first."""
    pixels = store.take(crops)
    shown = store.options.channels.index(model.data_preprocessor.channels[0])
    data: dict[str, Any] = {"inputs": [torch.from_numpy(pixels)], "data_samples": [None]}
    return model.data_preprocessor(data)["inputs"], pixels[..., shown]


def _draw(
    localization: Localization,
    pictures: NDArray[np.uint8],
    heat: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Crops above their activation pictures, with a title and the scores."""
    columns = []
    for picture, warmth in zip(pictures, heat, strict=True):
        tile = cv2.resize(picture, (TILE_PX, TILE_PX), interpolation=cv2.INTER_LINEAR)
        grey = np.repeat((tile / max(int(tile.max()), 1) * 255).astype(np.uint8)[..., None], 3, 2)
        spread = cv2.resize(warmth, (TILE_PX, TILE_PX)).clip(0, 1)
        colour = cv2.applyColorMap((spread * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        columns.append(np.vstack([grey, (0.45 * grey + 0.55 * colour).astype(np.uint8)]))
    sheet = np.hstack(columns)
    band = np.full((2 * BAND_PX, sheet.shape[1], 3), 24, np.uint8)
    canvas = Image.fromarray(np.vstack([band, sheet]))
    pen, font = ImageDraw.Draw(canvas), label_font(14)
    pen.text((6, 3), localization.name, font=font, fill=(235, 235, 235))
    for at, score in enumerate(scores):
        place = (at * TILE_PX + 6, BAND_PX + 3)
        pen.text(place, f"score {score:.2f}", font=font, fill=(180, 180, 180))
    return np.asarray(canvas)
