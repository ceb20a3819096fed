"""Batch norms folded into the convolutions before them, for networks that only predict.

In evaluation a batch norm is one factor and one offset for each channel, which the convolution
can have in its weights: the maps are the same but for rounding, and cost less time.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

_NOISE_PX = 64  # side of the picture on which maps before and after are compared
_TOLERANCE = 1e-3  # of the largest value of a map


@contextmanager
def fused_norms(model: nn.Module) -> Iterator[None]:
    """Let the frozen networks of a model run fused; they are as before afterwards.

    Those are the `network` of modules with a method `fused_network`, such as `TimmFeatures`.
    """
    before = {part: part.network for part in _fusible(model) if part.frozen}
    try:
        for part in before:
            part.network = part.fused_network()
        yield
    finally:
        for part, network in before.items():
            part.network = network


def fuse_for_prediction(model: nn.Module) -> None:
    """Fuse all such networks of a model for good; it can no longer be trained or saved."""
    for part in _fusible(model):
        part.network = part.fused_network()


def _fusible(model: nn.Module) -> list[Any]:
    parts = model.modules() if isinstance(model, nn.Module) else ()
    return [part for part in parts if hasattr(part, "fused_network")]


def fuse_norms(network: nn.Module, channels: int) -> nn.Module:
    """Fold batch norms into the convolutions that come before them.

    Which norm follows which convolution is told by the order of a module's parts, as mmcv's
    `fuse_conv_bn` does it; that one loses the activation that timm's norms end with. A picture
    of noise shows whether it was told right.

    Args:
        network: a timm network that gives maps; not modified.
        channels: of its input.

    Returns:
        A fused copy in evaluation mode; `network` itself where nothing could be fused, or where
        the copy gives other maps.
    """
    fused = copy.deepcopy(network).eval()
    if not _fuse_parts(fused):
        return network
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, channels, _NOISE_PX, _NOISE_PX, generator=generator)
    noise = noise.to(next(network.parameters()))
    was_training = [module for module in network.modules() if module.training]
    network.eval()
    with torch.no_grad():
        alike = all(map(_alike, network(noise), fused(noise)))
    for module in was_training:
        module.training = True
    return fused if alike else network


def _fuse_parts(network: nn.Module) -> int:
    """Fuse in place; give how many norms that were."""
    count = 0
    for parent in list(network.modules()):
        for (conv_name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if not isinstance(conv, nn.Conv2d) or not isinstance(norm, _BatchNorm):
                continue
            if norm.running_mean is None or norm.num_features != conv.out_channels:
                continue
            setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
            # timm's norms hold the activation
            rest = getattr(norm, "drop", nn.Identity()), getattr(norm, "act", nn.Identity())
            setattr(parent, norm_name, nn.Sequential(*rest))
            count += 1
    return count


def _alike(one: Tensor, other: Tensor) -> bool:
    largest = float(one.abs().max())
    return bool((one - other).abs().max() <= _TOLERANCE * max(largest, 1e-6))
