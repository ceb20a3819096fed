"""Networks that describe a crop by one vector: SubCell, or any network of timm.

N: crops; C: channels; S: side of a crop in pixels; D: length of the vector.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from hpa_mmdet.download.subcell import CHANNEL_SETS
from hpa_mmdet.errors import InputError
from hpa_mmdet.models.pretrained import read_state_dict
from hpa_mmdet.models.subcell import SubCellEncoder, read_encoder


class CropEmbedder(BaseModule):
    """A backbone of `CropClassifier` that gives one vector for a crop instead of maps.

    Args:
        dim: D.
        weights: file of weights, or None for random ones.
        frozen: no gradient, and evaluation mode throughout.
    """

    gives_vectors = True

    def __init__(self, dim: int, weights: str | None, *, frozen: bool) -> None:
        super().__init__()
        self.out_channels = (dim,)
        self.weights, self.frozen = weights, frozen

    def freeze(self) -> None:
        """Stop gradients where the config asks for it; called once the network is there."""
        if self.frozen:
            self.requires_grad_(False)

    def train(self, mode: bool = True) -> "CropEmbedder":
        """Set the mode, but keep a frozen network in evaluation mode."""
        super().train(mode and not self.frozen)
        return self


@MODELS.register_module()
class SubCellEmbedder(CropEmbedder):
    """SubCell's encoder on crops of its own kind (see configs/_base_/models).

    Args:
        channel_set: one of `CHANNEL_SETS`; crops must show its channels in its order.
        weights: a released file, or None for random weights.
        frozen: as of `CropEmbedder`.
        sizes: arguments of `SubCellEncoder`; None for those of the released files.

    Raises:
        InputError: there is no such set.
    """

    def __init__(
        self,
        channel_set: str = "all_channels",
        weights: str | None = None,
        frozen: bool = True,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        if channel_set not in CHANNEL_SETS:
            raise InputError(
                "config, channel_set",
                channel_set,
                f"one of {', '.join(CHANNEL_SETS)}",
                "correct it",
            )
        encoder = SubCellEncoder(channels=len(CHANNEL_SETS[channel_set]), **(sizes or {}))
        super().__init__(encoder.embedding_dim, weights, frozen=frozen)
        self.encoder = encoder
        self.freeze()

    def init_weights(self) -> None:
        """Load the weights that the config names; mmengine calls this before training.

        Raises:
            InputError: the file is missing, or holds an encoder of other sizes.
        """
        if self.weights is None:
            return
        _, tensors = read_encoder(Path(self.weights))
        try:
            self.encoder.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(
                self.weights,
                f"another encoder ({str(error).splitlines()[1].strip()[:120]})",
                "that of the config's channel_set and sizes",
                "name the file of the same channels",
            ) from error

    def forward(self, crops: Tensor) -> tuple[Tensor]:
        """Describe (N, C, S, S) crops by one (N, D, 1, 1) map."""
        return (self.encoder(crops)[:, :, None, None],)


@MODELS.register_module()
class TimmEmbedder(CropEmbedder):
    """Any network of timm, such as a vision transformer trained by DINOv2.

    Args:
        model_name: timm's name, such as vit_small_patch14_dinov2.
        channels: C.
        weights: a local file, in timm's layout or in that of the network's authors, or None.
            A stem for three colours is adapted as `TimmFeatures` does it, and position
            embeddings are interpolated.
        size_px: S.
        frozen: as of `CropEmbedder`.
        options: more arguments of timm's network.
    """

    def __init__(
        self,
        model_name: str,
        channels: int = 4,
        weights: str | None = None,
        size_px: int = 224,
        frozen: bool = True,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.arguments: dict[str, Any] = {"in_chans": channels, "num_classes": 0, **(options or {})}
        if model_name.startswith(("vit", "eva", "deit", "beit", "swin")):
            self.arguments["img_size"] = size_px
        network = timm.create_model(model_name, pretrained=False, **self.arguments)
        super().__init__(int(network.num_features), weights, frozen=frozen)
        self.model_name, self.network = model_name, network
        self.freeze()

    def init_weights(self) -> None:
        """Load the weights that the config names; mmengine calls this before training.

        Raises:
            InputError: the file is missing, or does not fit the network.
        """
        if self.weights is None:
            return
        state = read_state_dict(Path(self.weights))
        try:
            loaded = timm.create_model(
                self.model_name,
                pretrained=True,
                pretrained_cfg_overlay={"state_dict": state},
                **self.arguments,
            )
        except (RuntimeError, KeyError) as error:
            raise InputError(
                self.weights,
                f"other tensors ({str(error).splitlines()[-1].strip()[:120]})",
                f"those of timm's {self.model_name}",
                "give weights of this network, or name the network they belong to",
            ) from error
        self.network.load_state_dict(loaded.state_dict())

    def forward(self, crops: Tensor) -> tuple[Tensor]:
        """Describe (N, C, S, S) crops by one (N, D, 1, 1) map."""
        return (self.network(crops)[:, :, None, None],)
