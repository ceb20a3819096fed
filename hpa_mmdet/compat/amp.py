"""Mixed precision on any device: mmengine's own wrapper refuses to run without a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Steps whose forward pass runs in bfloat16 where torch holds that to be safe.

    bfloat16 has float32's range, so losses need no scaling.

    Args:
        kwargs: of mmengine's `OptimWrapper`.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run what is inside in mixed precision."""
        device = torch.device(get_device()).type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


def mixed_precision() -> dict[str, Any]:
    """Give the part of an `optim_wrapper` config that turns mixed precision on here.

    A GPU gets float16 with scaled losses, the CPU bfloat16.
    """
    if torch.cuda.is_available():
        return {"type": "AmpOptimWrapper", "loss_scale": "dynamic"}
    return {"type": "Bfloat16OptimWrapper"}
