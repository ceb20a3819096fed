"""The training set's counts of classes, given to the losses that weigh by them.

K: classes.
"""

from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from torch import Tensor

from hpa_mmdet.compat.processes import bare_model
from hpa_mmdet.localizations import NUM_LOCALIZATIONS


@HOOKS.register_module()
class MeasureClasses(Hook):
    """Measure class weights (`balance` of a localization loss) before the first step.

    The decoupled fit measures them on its own images; this is for the steps that train the
    branch with the detector.
    """

    priority = "VERY_HIGH"  # before a copy of the model is made for averaging

    def before_run(self, runner: Any) -> None:
        """Count, where a loss asks for it and there is a training set."""
        branch = getattr(bare_model(runner), "localization", None)
        loss = getattr(branch, "loss_localization", None)
        # the loop is a config, or None, where there is no training
        loop = runner._train_loop
        if loss is None or loss.balance is None or not isinstance(loop, BaseLoop):
            return
        loss.measure_classes(count_classes(loop.dataloader.dataset))


def count_classes(dataset: Any) -> Tensor:
    """Count the images of each class.

    Args:
        dataset: has `get_data_info(index)`, or the quicker `get_image_info(index)`, with
            `image_labels`, as `HpaCellDataset`; what a wrapper such as mmdet's
            RepeatDataset repeats is counted once.

    Returns:
        (K,) integer.
    """
    while hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    look_up = getattr(dataset, "get_image_info", dataset.get_data_info)
    counts = torch.zeros(NUM_LOCALIZATIONS, dtype=torch.long)
    for index in range(len(dataset)):
        counts[sorted(set(look_up(index)["image_labels"]))] += 1
    return counts
