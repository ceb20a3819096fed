"""SubCell: the network that describes and names single cells of the Human Protein Atlas.

A vision transformer, pooled by gated attention, and classifiers on the pooled vector. Sizes
are read from the released files, whose names are kept; no code of its authors is needed.

N: crops; C: channels; H, W: their size in pixels; T: tokens, a class token and one for each
patch; D: width of a token; P: heads of the pooling, so that an embedding has P * D numbers.

Source:
    Gupta et al., bioRxiv 10.1101/2024.12.06.627299 (MIT licence); layout of the files and
    arithmetic as in the authors' CellProfiling/SubCellPortable, commit 676f0e1.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from hpa_mmdet.compat.checkpoints import load_checkpoint_strict
from hpa_mmdet.download.subcell import missing_file
from hpa_mmdet.errors import InputError

_LAYER = re.compile(r"encoder\.encoder\.layer\.(\d+)\.")


class SubCellEncoder(nn.Module):
    """The transformer and its pooling.

    Args:
        channels: C.
        width: D.
        depth: layers.
        heads: of the attention in each layer.
        mlp_width: of the hidden layer in each layer.
        grid: patches along each side of the picture that it was trained on.
        patch_px: side of a patch.
        pool_width: inner width of the pooling.
        pool_heads: P.
    """

    def __init__(
        self,
        channels: int = 4,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        mlp_width: int = 3072,
        grid: int = 28,
        patch_px: int = 16,
        pool_width: int = 512,
        pool_heads: int = 2,
    ) -> None:
        super().__init__()
        self.patch_px, self.grid = patch_px, grid
        self.vit = VisionTransformer(
            img_size=grid * patch_px,
            patch_size=patch_px,
            in_chans=channels,
            num_classes=0,
            global_pool="",
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=mlp_width / width,
            norm_layer=partial(nn.LayerNorm, eps=1e-12),
            dynamic_img_size=True,
        )
        self.pool = GatedAttentionPool(width, pool_width, pool_heads)

    @property
    def embedding_dim(self) -> int:
        """P * D."""
        return self.pool.heads * int(self.vit.embed_dim)

    def tokens(self, crops: Tensor) -> Tensor:
        """Compute (N, T, D) tokens of (N, C, H, W) float crops of any range.

        Each crop is scaled by its own minimum and maximum over all channels first. H and W
        must be multiples of the patch's side.
        """
        low = crops.amin((1, 2, 3), keepdim=True)
        high = crops.amax((1, 2, 3), keepdim=True)
        patches = self.vit.patch_embed((crops - low) / (high - low + 1e-6))
        grid_hw = (crops.shape[2] // self.patch_px, crops.shape[3] // self.patch_px)
        flat = patches.reshape(len(crops), -1, patches.shape[-1])
        tokens = torch.cat([self.vit.cls_token.expand(len(crops), -1, -1), flat], 1)
        tokens = tokens + self._positions(grid_hw)
        return self.vit.norm(self.vit.blocks(tokens))

    def forward(self, crops: Tensor) -> Tensor:
        """Compute (N, P * D) embeddings of (N, C, H, W) float crops; see `tokens`."""
        return self.pool(self.tokens(crops))[0]

    def _positions(self, grid_hw: tuple[int, int]) -> Tensor:
        """Position embedding for a grid of patches; timm's own would smooth it, theirs does not."""
        positions: Tensor = self.vit.pos_embed
        if grid_hw == (self.grid, self.grid):
            return positions
        of_grid = positions[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        resized = F.interpolate(of_grid, size=grid_hw, mode="bicubic", align_corners=False)
        return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2)], dim=1)


class GatedAttentionPool(nn.Module):
    """Weighted means of tokens, by attention with a gate.

    Source:
        Ilse et al., ICML 2018, arXiv 1802.04712, equation 9; with GELU in the place of the
        gate's sigmoid, as SubCell was trained.

    Args:
        width: D.
        inner: width of the hidden layer.
        heads: P, means with weights of their own.
    """

    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.value, self.gate = nn.Linear(width, inner), nn.Linear(width, inner)
        self.attention = nn.Linear(inner, heads)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Pool (N, T, D) tokens to (N, P * D); also gives the (N, P, T) weights."""
        inner = torch.tanh(self.value(tokens)) * F.gelu(self.gate(tokens))
        weights = self.attention(inner).transpose(1, 2).softmax(-1)
        return (weights @ tokens).flatten(1), weights


class SubCellClassifiers(nn.Module):
    """The released classifiers on an embedding: the mean of their probabilities.

    Args:
        sizes: for each classifier the widths from the embedding to the classes.
    """

    def __init__(self, sizes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(_classifier(widths) for widths in sizes)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Compute (N, 31) probabilities, each class on its own."""
        return torch.stack([network(embeddings).sigmoid() for network in self.networks]).mean(0)


def _classifier(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for place in range(len(widths) - 1):
        layers += [nn.ReLU()] if place else []
        layers.append(nn.Linear(widths[place], widths[place + 1]))
    return nn.Sequential(*layers)


def read_encoder(path: Path) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Read an encoder's file in the released layout.

    Returns:
        Sizes as arguments of `SubCellEncoder`, without `heads`, which the file does not say;
        and its tensors by the names of `SubCellEncoder`.

    Raises:
        InputError: there is no file, or it is not in this layout.
    """
    state = _read(path)
    try:
        sizes = _encoder_sizes(state)
        return sizes, _renamed(state, sizes["depth"])
    except (KeyError, RuntimeError, IndexError, ValueError) as error:
        raise _other_layout(path, error, "an encoder") from error


def load_classifiers(paths: Sequence[Path]) -> SubCellClassifiers:
    """Load classifiers from files in the released layout.

    Raises:
        InputError: a file is missing or not in this layout, or they differ in classes.
    """
    states = [_read(path) for path in paths]
    sizes: list[list[int]] = []
    for path, state in zip(paths, states, strict=True):
        weights = [tensor for name, tensor in state.items() if name.endswith(".weight")]
        if not weights or any(tensor.dim() != 2 for tensor in weights):
            raise _other_layout(path, "no linear layers", "a classifier")
        sizes.append([weights[0].shape[1], *(tensor.shape[0] for tensor in weights)])
    classifiers = SubCellClassifiers(sizes)
    for path, state, network in zip(paths, states, classifiers.networks, strict=True):
        try:
            # numbers in the names count dropout too, which has no tensors
            network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
        except (RuntimeError, ValueError) as error:
            raise _other_layout(path, error, "a classifier") from error
    return classifiers.eval()


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise missing_file(path)
    state = load_checkpoint_strict(path)
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _encoder_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    patches = state["encoder.embeddings.patch_embeddings.projection.weight"]
    layers = [int(found[1]) for name in state if (found := _LAYER.match(name))]
    return {
        "channels": patches.shape[1],
        "width": patches.shape[0],
        "depth": max(layers) + 1,
        "mlp_width": state["encoder.encoder.layer.0.intermediate.dense.weight"].shape[0],
        "grid": math.isqrt(state["encoder.embeddings.position_embeddings"].shape[1] - 1),
        "patch_px": patches.shape[2],
        "pool_width": state["pool_model.attention_v.1.weight"].shape[0],
        "pool_heads": state["pool_model.attention.weight"].shape[0],
    }


def _renamed(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Give the tensors by the names of `SubCellEncoder`."""
    names = {
        "vit.cls_token": "encoder.embeddings.cls_token",
        "vit.pos_embed": "encoder.embeddings.position_embeddings",
    }
    linear = {
        "vit.patch_embed.proj": "encoder.embeddings.patch_embeddings.projection",
        "vit.norm": "encoder.layernorm",
        "pool.value": "pool_model.attention_v.1",
        "pool.gate": "pool_model.attention_u.1",
        "pool.attention": "pool_model.attention",
    }
    tensors: dict[str, Tensor] = {}
    for layer in range(depth):
        ours, theirs = f"vit.blocks.{layer}", f"encoder.encoder.layer.{layer}"
        linear |= {
            f"{ours}.norm1": f"{theirs}.layernorm_before",
            f"{ours}.attn.proj": f"{theirs}.attention.output.dense",
            f"{ours}.norm2": f"{theirs}.layernorm_after",
            f"{ours}.mlp.fc1": f"{theirs}.intermediate.dense",
            f"{ours}.mlp.fc2": f"{theirs}.output.dense",
        }
        for kind in ("weight", "bias"):
            parts = [f"{theirs}.attention.attention.{part}.{kind}" for part in _QKV]
            tensors[f"{ours}.attn.qkv.{kind}"] = torch.cat([state[name] for name in parts])
    names |= {f"{o}.{kind}": f"{t}.{kind}" for o, t in linear.items() for kind in _KINDS}
    return tensors | {ours: state[theirs] for ours, theirs in names.items()}


_QKV = ("query", "key", "value")
_KINDS = ("weight", "bias")


def _other_layout(path: Path, error: object, what: str) -> InputError:
    return InputError(
        path,
        f"other tensors ({str(error).splitlines()[0][:120]})",
        f"{what} of SubCell in the layout of its released files",
        "download the file again (docs/how-to/subcell.md)",
    )
