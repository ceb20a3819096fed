"""Several views of an image through one timm network: other channels, other sizes.

B: images of a batch; C: channels of the input; H, W: its size in pixels.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor

from hpa_mmdet.models.timm_features import TimmFeatures

# whether rows and columns are swapped, and which axes are mirrored then; the first two and the
# first four are as different as can be
_SYMMETRIES: tuple[tuple[bool, tuple[int, ...]], ...] = (
    (False, ()),
    (True, (2, 3)),
    (False, (2,)),
    (True, (3,)),
    (False, (3,)),
    (True, (2,)),
    (False, (2, 3)),
    (True, ()),
)


@MODELS.register_module()
class TimmViews(TimmFeatures):
    """Maps of a timm network that sees an image more than once, with the same weights.

    A network that was taught three colours can see the protein alone, as grey, and the protein
    with the nucleus as its third colour; and both once more at half the size, where a map's
    pixel sees twice as much of the cell.

    Args:
        model_name: timm's name, such as tf_efficientnet_lite0.
        views: the channels that each view shows the network, by position, as many in all of
            them; a channel may be shown twice.
        input_strides: every view is shown at each of these sizes: the input averaged over
            squares of so many pixels.
        symmetries: of 1, 2, 4 or 8 ways to mirror and turn the picture the maps are averaged,
            each turned back; what a cell shows does not depend on how it lies.
        kwargs: of `TimmFeatures`, but for `channels` and `input_stride`.

    Maps of the same stride are one, the views' channels side by side.

    Raises:
        ValueError: no view or size, or views of different numbers of channels.
    """

    def __init__(
        self,
        model_name: str,
        views: Sequence[Sequence[int]] = ((1, 1, 1), (1, 1, 2)),
        input_strides: Sequence[int] = (1,),
        symmetries: int = 1,
        **kwargs: Any,
    ) -> None:
        if not views or not input_strides or len({len(view) for view in views}) > 1:
            raise ValueError(
                f"views, input_strides: found {views!r}, {input_strides!r}, expected one or more "
                "of each, all views with as many channels"
            )
        if symmetries not in (1, 2, 4, 8):
            raise ValueError(f"symmetries: found {symmetries}, expected 1, 2, 4 or 8")
        super().__init__(model_name, channels=views[0], input_stride=1, **kwargs)
        self.views = [list(view) for view in views]
        self.input_strides = tuple(input_strides)
        self.symmetries = _SYMMETRIES[:symmetries]
        widths: dict[int, int] = {}
        for size in self.input_strides:
            for stride, width in zip(self.strides, self.out_channels, strict=True):
                widths[stride * size] = widths.get(stride * size, 0) + width * len(views)
        # finest first
        self.map_strides = [stride * size for size in self.input_strides for stride in self.strides]
        self.strides = sorted(widths)
        self.out_channels = [widths[stride] for stride in self.strides]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            image: (B, C, H, W) float; H and W are multiples of the coarsest stride.

        Returns:
            One (B, channels, H / stride, W / stride) map for each of `strides`.
        """
        seen = torch.cat([image[:, view] for view in self.views])
        maps = [found for size in self.input_strides for found in self._maps(seen, size)]
        by_stride: dict[int, list[Tensor]] = {stride: [] for stride in self.strides}
        for stride, found in zip(self.map_strides, maps, strict=True):
            by_stride[stride].extend(found.split(len(image)))
        return tuple(torch.cat(found, 1) for found in by_stride.values())

    def _maps(self, seen: Tensor, size: int) -> tuple[Tensor, ...]:
        seen = F.avg_pool2d(seen, size) if size > 1 else seen
        turned = [
            [
                _turn(found, (swap, axes), back=True)
                for found in self.look(_turn(seen, (swap, axes)))
            ]
            for swap, axes in self.symmetries
        ]
        return tuple(torch.stack(found).mean(0) for found in zip(*turned, strict=True))


def _turn(pictures: Tensor, symmetry: tuple[bool, tuple[int, ...]], back: bool = False) -> Tensor:
    """Swap rows and columns, then mirror the axes; or undo that."""
    swap, axes = symmetry
    if back:
        pictures = pictures.flip(axes) if axes else pictures
        return pictures.transpose(2, 3) if swap else pictures
    pictures = pictures.transpose(2, 3) if swap else pictures
    return pictures.flip(axes) if axes else pictures
