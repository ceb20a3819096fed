"""Random changes of the brightness of whole images, on the device that holds the batch.

B: images; C: channels; H, W: height and width of the padded batch in pixels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class GainAndNoise(nn.Module):
    """Another gain in each channel and noise on its pixels, for `batch_augments`.

    Stains differ in strength from slide to slide, and cameras in noise. Here and not in the
    pipeline, because noise for an image takes a loader's core longer than decoding it does, and
    a GPU next to no time.

    Args:
        gain: range of the factors; each channel of an image has its own.
        gain_prob: share of the images that are given gains.
        noise: largest standard deviation of the noise, in units of 0..255; each image has its own.
        noise_prob: share of the images that are given noise.

    Random numbers come from torch's global generators, which the runner seeds.
    """

    def __init__(
        self,
        gain: tuple[float, float] = (0.7, 1.4),
        gain_prob: float = 0.7,
        noise: float = 7.65,
        noise_prob: float = 0.3,
    ) -> None:
        super().__init__()
        self.gain, self.gain_prob = gain, gain_prob
        self.noise, self.noise_prob = noise, noise_prob

    def forward(
        self, inputs: Tensor, data_samples: Sequence[Any] | None
    ) -> tuple[Tensor, Sequence[Any] | None]:
        """Change a batch.

        Args:
            inputs: (B, C, H, W) float of 0..255, changed in place.
            data_samples: their `img_shape` says what is padding, which stays black.

        Returns:
            `inputs`, still 0..255, and the same samples.
        """
        for at, image in enumerate(inputs):
            height, width = (
                image.shape[1:] if data_samples is None else data_samples[at].img_shape[:2]
            )
            self._change(image[:, :height, :width])
        return inputs, data_samples

    def _change(self, image: Tensor) -> None:
        chances = torch.rand(2)  # on the CPU: nothing waits for the device
        if chances[0] < self.gain_prob:
            low, high = self.gain
            factors = torch.rand(len(image), 1, 1, device=image.device) * (high - low) + low
            image.mul_(factors).clamp_(0, 255)
        if chances[1] < self.noise_prob:
            deviation = self.noise * float(torch.rand(()))
            image.add_(torch.randn_like(image), alpha=deviation).clamp_(0, 255)
