"""A model without training: a cell is a connected bright patch of the blue channel.

It keeps to the interface of HpaMaskRCNN, sees the same cells whichever way the image is
turned, and gives each 19 scores that follow from its green pixels.
"""

import os
import time
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from scipy import ndimage
from torch import Tensor, nn

from hpa_mmdet.inference.exported_config import KNOWN_TYPES

KNOWN_TYPES.add("StandInCells")
BRIGHT = 100
SIDE = 28


@MODELS.register_module()
class StandInCells(BaseModel):
    """See the module.

    Args:
        classes: width of the one weight, so that checkpoints can be the wrong ones.
        memory_px: pixels of a batch above which the device is said to be full.
        pause_s: how long it takes its time.
        die_at: a file; the process that finds it removes it and dies, as one that is killed.
    """

    def __init__(
        self,
        classes: int = 19,
        memory_px: int | None = None,
        pause_s: float = 0.0,
        die_at: str = "",
    ) -> None:
        super().__init__()
        self.rates = nn.Parameter(torch.linspace(0.1, 1.9, classes))
        self.memory_px, self.pause_s, self.die_at = memory_px, pause_s, die_at
        self.batch_sizes: list[int] = []

    def forward(self, inputs: Tensor, data_samples: list, mode: str = "predict") -> list:
        raise NotImplementedError

    def test_step(self, data: dict) -> list:
        time.sleep(self.pause_s)
        if self.die_at and len(self.batch_sizes) > 3 and Path(self.die_at).is_file():
            Path(self.die_at).unlink()
            os._exit(1)
        images, samples = data["inputs"], data["data_samples"]
        assert len({image.shape for image in images}) == 1, "one size per batch"
        self.batch_sizes.append(len(images))
        if self.memory_px and sum(image[0].numel() for image in images) > self.memory_px:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate all of it")
        for image, sample in zip(images, samples, strict=True):
            pixels = image.numpy()
            given = sample.get("given_instances")
            masks = list(given.masks.masks) if given is not None else bright_patches(pixels[2])
            sample.pred_instances = self.describe(pixels, masks)
            if given is not None:
                sample.pred_instances.bboxes = given.bboxes
                sample.pred_instances.scores = torch.ones(len(masks))
                del sample.pred_instances.mask_probs
            sample.image_probs = torch.full((19,), float(pixels[1].mean()) / 255)
        return samples

    def describe(self, pixels: np.ndarray, masks: list[np.ndarray]) -> InstanceData:
        boxes, probs, scores, cells = [], [], [], []
        for mask in masks:
            inside = mask.astype(bool)
            rows, columns = np.nonzero(inside)
            if not rows.size:
                boxes.append((0, 0, 0, 0))
                probs.append(np.zeros((SIDE, SIDE)))
                scores.append(0.1)
                cells.append(np.zeros(19))
                continue
            y, x = rows.min(), columns.min()
            y_end, x_end = rows.max() + 1, columns.max() + 1
            boxes.append((x, y, x_end, y_end))
            probs.append(read_at(inside[y:y_end, x:x_end].astype(float), SIDE))
            scores.append(0.5 + 0.5 * pixels[2][inside].mean() / 255)
            green = pixels[1][inside].mean() / 255
            cells.append(np.clip(green * self.rates.detach().numpy()[:19] / 2, 0, 1))
        return InstanceData(
            bboxes=torch.tensor(np.array(boxes, np.float32).reshape(-1, 4)),
            scores=torch.tensor(scores, dtype=torch.float32),
            labels=torch.zeros(len(masks), dtype=torch.long),
            mask_probs=torch.tensor(np.array(probs, np.float32).reshape(-1, SIDE, SIDE)),
            localization_scores=torch.tensor(np.array(cells, np.float32).reshape(-1, 19)),
        )


def bright_patches(blue: np.ndarray) -> list[np.ndarray]:
    labels, count = ndimage.label(blue >= BRIGHT)
    return [labels == number for number in range(1, count + 1)]


def read_at(mask: np.ndarray, side: int) -> np.ndarray:
    """The mask at the centres of side x side parts of it."""
    y = ((np.arange(side) + 0.5) * mask.shape[0] / side).astype(int)
    x = ((np.arange(side) + 0.5) * mask.shape[1] / side).astype(int)
    return mask[np.ix_(y, x)]
