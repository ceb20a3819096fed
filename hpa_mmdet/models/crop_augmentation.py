"""Random changes of many crops at once, on the device that holds them.

N: crops; C: channels, the last one the mask; S: side in pixels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur


@dataclass(frozen=True)
class CropAugmentation:
    """Flips, turns, scale, brightness, noise and blur, drawn anew for each crop.

    Args:
        flips: mirror and turn by quarters, all eight ways with equal chance.
        turn_degrees: largest turn to either side beyond that.
        scale: largest change of size, as a factor, up or down.
        turn_prob: share of the crops that are turned and scaled.
        brightness: largest factor on a channel's values, up or down; crops of one image
            share it, as they share the microscope's settings.
        noise: largest deviation of normal noise, in units of 0..255.
        blur: largest sigma of a Gaussian blur, in pixels.
        blur_prob: share of the batches that are blurred.

    Random numbers come from torch's global generator, which the runner seeds.
    """

    flips: bool = True
    turn_degrees: float = 45.0
    scale: float = 1.15
    turn_prob: float = 0.7
    brightness: float = 1.5
    noise: float = 3.0
    blur: float = 0.7
    blur_prob: float = 0.1

    def __call__(self, crops: Tensor, bag_index: Tensor) -> Tensor:
        """Change (N, C, S, S) float crops of 0..255.

        Args:
            crops: the last channel is the mask, 0 or 255, which moves along unchanged in value.
            bag_index: (N,) the image of each crop.
        """
        if not len(crops):
            return crops
        if self.flips:
            crops = flip_and_turn(crops, torch.randint(0, 8, (len(crops),), device=crops.device))
        if self.turn_prob > 0:
            crops = self._turn_and_scale(crops)
        pixels, mask = crops[:, :-1], crops[:, -1:]
        shape = (int(bag_index.max()) + 1, pixels.shape[1])
        reach = math.log(self.brightness)
        factor = torch.exp((2 * torch.rand(shape, device=crops.device) - 1) * reach)
        pixels = pixels * factor[bag_index][:, :, None, None]
        if self.blur > 0 and float(torch.rand(())) < self.blur_prob:
            sigma = max(float(torch.rand(())) * self.blur, 0.05)
            pixels = gaussian_blur(pixels, [5, 5], [sigma, sigma])
        if self.noise > 0:
            deviation = self.noise * torch.rand(len(crops), 1, 1, 1, device=crops.device)
            pixels = pixels + deviation * torch.randn_like(pixels)
        return torch.cat([pixels.clamp(0, 255), mask], 1)

    def _turn_and_scale(self, crops: Tensor) -> Tensor:
        chosen = torch.nonzero(torch.rand(len(crops), device=crops.device) < self.turn_prob)[:, 0]
        if not len(chosen):
            return crops
        spread = 2 * torch.rand(2, len(chosen), device=crops.device) - 1
        angle = spread[0] * math.radians(self.turn_degrees)
        size = torch.exp(spread[1] * math.log(self.scale))
        cosine, sine, zero = size * angle.cos(), size * angle.sin(), torch.zeros_like(angle)
        rows = [torch.stack([cosine, -sine, zero], 1), torch.stack([sine, cosine, zero], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), list(crops[chosen].shape), align_corners=False)
        moved = F.grid_sample(crops[chosen], grid, align_corners=False)
        moved[:, -1] = (moved[:, -1] >= 127.5) * 255.0
        return crops.index_copy(0, chosen, moved)


def flip_and_turn(crops: Tensor, which: Tensor) -> Tensor:
    """Put each square crop in one of its eight positions.

    Args:
        crops: (N, C, S, S).
        which: (N,) 0..7: bit 0 mirrors left and right, bit 1 up and down, bit 2 swaps rows
            and columns, in this order.
    """
    which = which[:, None, None, None]
    crops = torch.where((which & 1) > 0, crops.flip(3), crops)
    crops = torch.where((which & 2) > 0, crops.flip(2), crops)
    return torch.where((which & 4) > 0, crops.transpose(2, 3), crops)
