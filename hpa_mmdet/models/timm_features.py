"""A timm network as a pyramid's backbone, for any number of fluorescence channels.

B: images of a batch; C: channels of the input; H, W: its size in pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from timm.models import adapt_input_conv
from torch import Tensor, nn

from hpa_mmdet.compat.fused_norms import fuse_norms
from hpa_mmdet.errors import InputError, list_some
from hpa_mmdet.models.pretrained import (
    PACKAGED,
    fetch_library_weights,
    read_packaged,
    read_state_dict,
)


@MODELS.register_module()
class TimmFeatures(BaseModule):
    """Feature maps of a timm network, with an ImageNet stem adapted to our channels.

    Args:
        model_name: timm's name, such as tf_efficientnet_lite0, resnet50, convnext_tiny.
        channels: which input channels it sees, by position; (1,) is green alone of red,
            green, blue, yellow.
        input_stride: the input is averaged over squares of this size first, so the maps'
            strides in input pixels are the network's times this.
        out_indices: which of the network's stages to give.
        weights: "lite0" or "lite1" (files of the extra `demo`), "timm", "torchvision", the path of
            a local file, or None for random ones.
        frozen: no gradient, and evaluation mode throughout.
        norm_eval: batch normalization keeps its statistics; only sensible with weights.
        checkpointing: forget maps in between and compute them again for the gradient: less
            memory in training, about a third more time.
        options: more arguments of timm's network, such as strict_img_size=False for a Swin
            transformer, which else takes pictures of 224 pixels only.
        init_cfg: mmengine's, unused: `weights` says it.

    The stem of three colours becomes one of C channels as timm does it: summed for one
    channel, else repeated in turn and scaled by 3 / C.
    """

    def __init__(
        self,
        model_name: str,
        channels: Sequence[int] = (0, 1, 2, 3),
        input_stride: int = 1,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        weights: str | None = None,
        frozen: bool = False,
        norm_eval: bool = True,
        checkpointing: bool = False,
        options: dict[str, Any] | None = None,
        init_cfg: dict[str, object] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.model_name, self.weights = model_name, weights
        self.channels, self.input_stride = tuple(channels), input_stride
        self.frozen, self.norm_eval = frozen, norm_eval
        self.network = timm.create_model(
            model_name,
            features_only=True,
            out_indices=tuple(out_indices),
            in_chans=len(self.channels),
            pretrained=False,
            **(options or {}),
        )
        # faster on a CPU than channels first, with the same maps but for rounding
        self.network.to(memory_format=torch.channels_last)
        if checkpointing:
            self.network.set_grad_checkpointing(True)
        # transformers give their channels in the last dimension
        self.gives_nhwc = str(getattr(self.network, "output_fmt", "NCHW")).endswith("NHWC")
        self.out_channels: list[int] = self.network.feature_info.channels()
        self.strides = [stride * input_stride for stride in self.network.feature_info.reduction()]
        if frozen:
            self.requires_grad_(False)

    def init_weights(self) -> None:
        """Load the weights that were asked for; mmengine calls this once before training.

        Raises:
            InputError: they cannot be had or do not fit the network.
        """
        if self.weights is None:
            return
        state, source = self._read_weights()
        missing = self._load(state)
        if missing:
            raise InputError(
                source,
                f"no {list_some(missing, 3)}",
                f"all {len(self.network.state_dict())} tensors of timm's {self.model_name}",
                "give weights of this network, or name the network they belong to",
            )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            image: (B, C, H, W) float.

        Returns:
            One (B, channels, H / stride, W / stride) map for each of `out_indices`.
        """
        if self.channels != tuple(range(image.shape[1])):
            image = image[:, list(self.channels)]
        if self.input_stride > 1:
            image = F.avg_pool2d(image, self.input_stride)
        return self.look(image)

    def look(self, seen: Tensor) -> tuple[Tensor, ...]:
        """Give the network's maps of (B, channels, h, w) of what it is to see."""
        maps = tuple(self.network(seen.contiguous(memory_format=torch.channels_last)))
        if self.gives_nhwc:
            maps = tuple(feature_map.permute(0, 3, 1, 2) for feature_map in maps)
        return maps

    def fused_network(self) -> nn.Module:
        """Give the network with its batch norms folded into its convolutions, a copy."""
        return fuse_norms(self.network, len(self.channels))

    def train(self, mode: bool = True) -> "TimmFeatures":
        """Set the mode, but keep frozen parts and fixed statistics in evaluation mode."""
        super().train(mode and not self.frozen)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def _read_weights(self) -> tuple[dict[str, Tensor], str]:
        assert self.weights is not None
        if self.weights in PACKAGED:
            return read_packaged(self.weights), f"weights '{self.weights}'"
        if self.weights in ("timm", "torchvision"):
            return fetch_library_weights(self.weights, self.model_name), f"{self.weights} weights"
        return read_state_dict(Path(self.weights)), self.weights

    def _load(self, state: dict[str, Tensor]) -> list[str]:
        """Load what fits by name and shape, the stem adapted; return what was missing."""
        wanted = self.network.state_dict()
        # timm flattens the names of some networks in features_only form (stages.0 -> stages_0)
        flat = {name.replace(".", "_"): tensor for name, tensor in state.items()}
        stem = next(iter(wanted))
        found: dict[str, Tensor] = {}
        for name, target in wanted.items():
            tensor = flat.get(name.replace(".", "_"))
            if tensor is not None and name == stem and tensor.shape[1] != len(self.channels):
                tensor = adapt_input_conv(len(self.channels), tensor)
            if tensor is not None and tensor.shape == target.shape:
                found[name] = tensor
        missing = sorted(set(wanted) - set(found))
        if not missing:
            self.network.load_state_dict(found)
        return missing
