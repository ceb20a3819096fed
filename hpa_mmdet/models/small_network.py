"""A small convolutional network for crops, trained from scratch: the rungs of the ladder.

N: crops; C: channels; S: side of a crop in pixels.
"""

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

NORMS = ("none", "before", "after")


@MODELS.register_module()
class SmallNetwork(BaseModule):
    """Stages of convolution, ReLU and 2x2 max-pooling.

    The network of the earlier work's comparison, whose variants differ in few numbers; dense
    layers belong to the heads (`hidden` of `LocalizationBranch`).

    Args:
        in_channels: C.
        filters: of each stage; growing, or growing and shrinking again ("inverted").
        convs: convolutions in each stage.
        first_kernel: size of the very first convolution; the others are 3.
        norm: batch normalization "before" or "after" each ReLU, or "none".
        dropout: share of the channels of a stage's output that is dropped in training.
        init_cfg: mmengine's.

    Raises:
        ValueError: no stage, no convolution, an even first kernel, or another norm.
    """

    def __init__(
        self,
        in_channels: int = 1,
        filters: Sequence[int] = (32, 64, 128, 256),
        convs: int = 1,
        first_kernel: int = 3,
        norm: str = "none",
        dropout: float = 0.0,
        init_cfg: dict[str, object] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not filters or convs < 1 or first_kernel % 2 == 0 or norm not in NORMS:
            raise ValueError(
                f"SmallNetwork: found filters={filters}, convs={convs}, first_kernel="
                f"{first_kernel}, norm={norm!r}; expected stages, at least one convolution in "
                f"each, an odd kernel, and one of {', '.join(NORMS)}"
            )
        layers: list[nn.Module] = []
        width, kernel = in_channels, first_kernel
        for count in filters:
            for _ in range(convs):
                layers.append(nn.Conv2d(width, count, kernel, padding=kernel // 2))
                layers += _activation(count, norm)
                width, kernel = count, 3
            layers.append(nn.MaxPool2d(2))
            if dropout > 0:
                layers.append(nn.Dropout2d(dropout))
        self.layers = nn.Sequential(*layers)
        self.out_channels = [width]
        self.strides = [2 ** len(filters)]

    def forward(self, crops: Tensor) -> tuple[Tensor]:
        """Give the last map, (N, filters, S / stride, S / stride), of (N, C, S, S) crops."""
        return (self.layers(crops),)


def _activation(count: int, norm: str) -> list[nn.Module]:
    relu = nn.ReLU(inplace=True)
    if norm == "none":
        return [relu]
    normalization = nn.BatchNorm2d(count)
    return [normalization, relu] if norm == "before" else [relu, normalization]
