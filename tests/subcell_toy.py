"""Toy files in the layout of SubCell's released ones, with random weights."""

from pathlib import Path

import torch

from hpa_mmdet.models.subcell import SubCellEncoder, read_encoder

SIZES = {
    "width": 8,
    "depth": 2,
    "heads": 2,
    "mlp_width": 12,
    "grid": 3,
    "patch_px": 4,
    "pool_width": 6,
    "pool_heads": 2,
}
"""Of the toy encoders, as `SubCellEncoder` takes them."""


def write_encoder(path: Path, *, channels: int = 2, seed: int = 0) -> dict[str, torch.Tensor]:
    """Write an encoder and give its tensors."""
    width, depth = 8, 2
    generator = torch.Generator().manual_seed(seed)

    def linear(name: str, outs: int, ins: int) -> dict[str, torch.Tensor]:
        weight = torch.randn(outs, ins, generator=generator) / ins**0.5
        return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(outs)}

    def norm(name: str) -> dict[str, torch.Tensor]:
        return {f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width)}

    patches = "encoder.embeddings.patch_embeddings.projection"
    state = {
        "encoder.embeddings.cls_token": torch.randn(1, 1, width, generator=generator),
        "encoder.embeddings.position_embeddings": torch.randn(1, 10, width, generator=generator),
        f"{patches}.weight": torch.randn(width, channels, 4, 4, generator=generator) / 6,
        f"{patches}.bias": torch.zeros(width),
        **norm("encoder.layernorm"),
        **linear("pool_model.attention_v.1", 6, width),
        **linear("pool_model.attention_u.1", 6, width),
        **linear("pool_model.attention", 2, 6),
    }
    for number in range(depth):
        layer = f"encoder.encoder.layer.{number}"
        for part in ("query", "key", "value"):
            state |= linear(f"{layer}.attention.attention.{part}", width, width)
        state |= linear(f"{layer}.attention.output.dense", width, width)
        state |= linear(f"{layer}.intermediate.dense", 12, width)
        state |= linear(f"{layer}.output.dense", width, 12)
        state |= norm(f"{layer}.layernorm_before") | norm(f"{layer}.layernorm_after")
    torch.save(state, path)
    return state


def write_classifier(path: Path, ins: int = 16, classes: int = 31, seed: int = 0) -> None:
    torch.manual_seed(seed)
    layers = torch.nn.Sequential(
        torch.nn.Linear(ins, 9),
        torch.nn.ReLU(),
        torch.nn.Dropout(),
        torch.nn.Linear(9, 7),
        torch.nn.ReLU(),
        torch.nn.Dropout(),
        torch.nn.Linear(7, classes),
    )
    torch.save(layers.state_dict(), path)


def load_encoder(path: Path, heads: int = 2) -> SubCellEncoder:
    """Load an encoder by itself; its file does not say how many heads its layers have."""
    sizes, tensors = read_encoder(path)
    encoder = SubCellEncoder(heads=heads, **sizes)
    encoder.load_state_dict(tensors)
    return encoder.eval()


def attention_of(encoder: SubCellEncoder, crops: torch.Tensor) -> torch.Tensor:
    """How much of each patch is in the embedding, (N, P, rows, columns)."""
    weights = encoder.pool(encoder.tokens(crops))[1][:, :, 1:]
    return weights.reshape(len(crops), encoder.pool.heads, crops.shape[2] // encoder.patch_px, -1)
