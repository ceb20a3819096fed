"""Batches of 4-channel images: to float, scaled, padded, stacked."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import MODELS


@MODELS.register_module()
class HpaDataPreprocessor(DetDataPreprocessor):
    """mmdet's preprocessor for any number of channels (mmengine's takes one or three).

    This is the one place where pixels become what the network sees:
    (pixel - mean) / std, with pixels of 0..255 (`LoadHpaChannels` brings 16 bit to that).

    Padding is black in every channel: images are padded before they are scaled.

    Args:
        mean: one value for each channel, or one for all, in pixel units.
        std: likewise.
        kwargs: of `DetDataPreprocessor`.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs: Any) -> None:
        super().__init__(pad_value=0, **kwargs)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Batch and scale.

        Args:
            data: `inputs`, a list of (C, H, W) tensors, and `data_samples`.
            training: whether ground truth is padded along.

        Returns:
            `inputs` (B, C, H, W) float and `data_samples` with their padded shapes.
        """
        batch = dict(super().forward(data, training))
        batch["inputs"] = (batch["inputs"] - self.mean) / self.std
        return batch
