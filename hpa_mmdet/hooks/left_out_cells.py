"""How many annotated cells the training pictures do not show."""

from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce
from mmengine.hooks import Hook


@HOOKS.register_module()
class CountLeftOutCells(Hook):
    """Log after each epoch how many cells the detector did not learn from.

    `PackCells` leaves out cells that are hidden under others, that augmentation moved out of the
    picture, and that are smaller than its `min_side_px`.
    """

    priority = "LOW"

    def __init__(self) -> None:
        self._left_out, self._seen = 0, 0

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Count the cells of a batch."""
        samples = data_batch.get("data_samples", ()) if isinstance(data_batch, dict) else ()
        for sample in samples:
            self._left_out += int(sample.get("cells_left_out", 0))
            self._seen += len(sample.get("gt_instances", ()))

    def after_train_epoch(self, runner: Any) -> None:
        """Log the counts of all processes."""
        counts = torch.tensor([self._left_out, self._left_out + self._seen])
        all_reduce(counts)
        left_out, total = counts.tolist()
        if left_out:
            runner.logger.info(
                f"{left_out} of {total} cells left out of this epoch: hidden, cut off or too small"
            )
        self._left_out, self._seen = 0, 0
