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

    Args:
        mean: one value for each channel, in pixel units.
        std: likewise.
        pad_value: what padding holds after scaling; black by default.
        kwargs: of `DetDataPreprocessor`.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        pad_value: float | None = None,
        **kwargs: Any,
    ) -> None:
        black = -mean[0] / std[0] if pad_value is None else pad_value
        # one value passes the parent's check on the number of channels; ours replace it
        super().__init__(mean=[0.0], std=[1.0], pad_value=black, **kwargs)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), False)
        # its normalization asserts three channels where there are three means: do ours first
        self._enable_normalize = False

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Scale and batch.

        Args:
            data: `inputs`, a list of (C, H, W) tensors, and `data_samples`.
            training: whether ground truth is padded along.

        Returns:
            `inputs` (B, C, H, W) float and `data_samples` with their padded shapes.
        """
        data = dict(self.cast_data(data))
        data["inputs"] = [(each.float() - self.mean) / self.std for each in data["inputs"]]
        return dict(super().forward(data, training))
