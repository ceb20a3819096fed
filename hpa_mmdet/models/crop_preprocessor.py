"""From bags of crops, or whole images with given cells, to what the network sees.

n: crops of an image; N: of a batch; S: side of a crop in pixels; C: channels that the
network sees; H, W: size of a whole image.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from hpa_mmdet.crops.cut import cut_crops
from hpa_mmdet.crops.masks import CellMask
from hpa_mmdet.crops.options import MASK, CropOptions
from hpa_mmdet.errors import InputError
from hpa_mmdet.models.crop_augmentation import CropAugmentation


class CropBatch(NamedTuple):
    """Crops of several images.

    Args:
        pixels: (N, C, S, S) float, normalized.
        coverage: (N, 1, S, S) float, 1 inside the cell.
        bag_index: (N,) the image of each crop.
    """

    pixels: Tensor
    coverage: Tensor
    bag_index: Tensor


@MODELS.register_module()
class CropPreprocessor(BaseDataPreprocessor):
    """Cuts cells out of whole images, augments crops in training, and normalizes them.

    This is the one place where pixels of crops become what the network sees. Whole images
    are cut by `cut_crops`, as tools/extract_crops.py does, so that a model sees in prediction
    the pixels that it was trained on.

    Args:
        crop: options of `CropOptions`, those of the store; `channels` must hold `mask`.
        channels: what the network sees, in its order; `mask` may be one of them.
        image_channels: the channels of whole images, in their order.
        root: take the square root of the values first, sqrt(255 v), which lifts dim stains.
        mean: of all channels, in units of 0..255.
        std: likewise.
        augmentation: options of `CropAugmentation` for training; None for none.

    Raises:
        InputError: a channel that the crops do not have, or crops without a mask.
    """

    def __init__(
        self,
        crop: Mapping[str, Any],
        channels: Sequence[str] = ("green",),
        image_channels: Sequence[str] = ("red", "green", "blue", "yellow"),
        root: bool = True,
        mean: float = 127.0,
        std: float = 128.0,
        augmentation: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.crop = CropOptions.from_dict(dict(crop), "config, crop")
        lacking = [name for name in (*channels, MASK) if name not in self.crop.channels]
        lacking += [name for name in self.crop.image_channels if name not in image_channels]
        if lacking:
            raise InputError(
                "config, CropPreprocessor",
                f"no channel {lacking[0]} (crops: {', '.join(self.crop.channels)}; "
                f"images: {', '.join(image_channels)})",
                "every channel of the network and the mask in the crops, and theirs in the images",
                "correct crop.channels or channels",
            )
        self.channels, self.image_channels = tuple(channels), tuple(image_channels)
        self.places = [self.crop.channels.index(name) for name in self.channels]
        self.root, self.mean, self.std = root, mean, std
        self.augmentation = None if augmentation is None else CropAugmentation(**augmentation)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Make a batch.

        Args:
            data: `inputs`, for each sample either a bag (n, S, S, crop channels) uint8 or a
                whole image (image channels, H, W) uint8 whose sample has `given_instances`;
                and `data_samples`.
            training: whether to augment.

        Returns:
            `inputs`, a `CropBatch`, and `data_samples`.

        Raises:
            InputError: a whole image without given cells, or crops of another form.
        """
        data = dict(self.cast_data(dict(data)))
        samples: list[DetDataSample] = list(data["data_samples"])
        bags = [
            self._cut(inputs, sample) if inputs.dim() == 3 else self._checked(inputs)
            for inputs, sample in zip(data["inputs"], samples, strict=True)
        ]
        counts = torch.tensor([len(bag) for bag in bags], device=self.device)
        bag_index = torch.repeat_interleave(torch.arange(len(bags), device=self.device), counts)
        crops = torch.cat(bags).permute(0, 3, 1, 2)
        mask = self.crop.channels.index(MASK)
        order = [*(place for place in range(crops.shape[1]) if place != mask), mask]
        crops = crops[:, order].float()
        if training and self.augmentation is not None:
            crops = self.augmentation(crops, bag_index)
        return {
            "inputs": self._normalized(crops, order, bag_index),
            "data_samples": samples,
        }

    def _normalized(self, crops: Tensor, order: Sequence[int], bag_index: Tensor) -> CropBatch:
        coverage = (crops[:, -1:] >= 127.5).float()
        seen = crops[:, [order.index(place) for place in self.places]]
        if self.root:
            seen = (seen * 255).sqrt()
        if self.crop.blank and self.crop.grow_px == 0:
            # noise and interpolation must not leave the cell
            seen = seen * coverage
        return CropBatch((seen - self.mean) / self.std, coverage, bag_index)

    def _checked(self, bag: Tensor) -> Tensor:
        size = self.crop.size_px
        expected = (size, size, len(self.crop.channels))
        if tuple(bag.shape[1:]) != expected:
            raise InputError(
                "crops",
                "x".join(map(str, bag.shape[1:])),
                "x".join(map(str, expected)) + " (height, width, channels) as the config says",
                "extract crops with the config's options, or correct its `crop`",
            )
        return bag

    def _cut(self, image: Tensor, sample: DetDataSample) -> Tensor:
        if "given_instances" not in sample:
            raise InputError(
                "image",
                problem="a crop classifier names given cells and finds none",
                remedy="give masks: --instances masks --masks DIR",
            )
        pixels = image.cpu().numpy()
        planes = dict(zip(self.image_channels, pixels, strict=True))
        crops = cut_crops(planes, given_cells(sample.given_instances), self.crop)
        return torch.from_numpy(crops.pixels).to(self.device)


def given_cells(instances: Any) -> list[CellMask]:
    """List given cells as the cutting takes them.

    Args:
        instances: with `masks` of mmdet, N of the image's size.
    """
    cells = []
    height, width = instances.masks.height, instances.masks.width
    for number, mask in enumerate(instances.masks.masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            cells.append(CellMask(number, (0, 0, 0, 0), np.zeros((0, 0), bool), False))
            continue
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        at_border = top == 0 or left == 0 or bottom == height or right == width
        box = (int(left), int(top), int(right - left), int(bottom - top))
        cells.append(
            CellMask(number, box, mask[top:bottom, left:right].astype(bool), bool(at_border))
        )
    return cells
