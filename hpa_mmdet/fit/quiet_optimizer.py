"""Learning rates of parts of a network, in one line of the log."""

import logging
from collections import Counter
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class QuietOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, which writes up to four lines for each parameter to the log."""

    def __call__(self, model: nn.Module) -> Any:
        """Build the optimizer and name its learning rates."""
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel(logging.WARNING)
        try:
            wrapper = super().__call__(model)
        finally:
            logger.setLevel(level)
        groups = wrapper.param_groups
        counts = Counter(round(float(group["lr"]), 10) for group in groups)
        named = ", ".join(f"{rate:g} ({count})" for rate, count in sorted(counts.items()))
        logger.info(f"learning rates (parameters): {named}")
        return wrapper
