"""Pictures of what the network finds, in TensorBoard while it trains.

H, W: image size in pixels; N: cells found; S: side of a predicted mask; K = 19.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS, HOOKS
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from numpy.typing import NDArray

from hpa_mmdet.pages.draw import DrawnCell, draw_cells, named, outline


@HOOKS.register_module()
class PredictionPictures(Hook):
    """Draw the cells found in a few images every few epochs.

    Args:
        dataset: config of a data set whose pipeline ends in `PackCells`, not augmented.
        count: images, the first of the data set.
        interval: epochs between the drawings; the fitted model is drawn too.
        least_score: cells below it are left out.
        names: at most so many localizations are written at a cell.
        shown_channels: input channels that become red, green and blue of the picture.
    """

    priority = "LOW"  # after the checkpoint

    def __init__(
        self,
        dataset: dict[str, Any],
        count: int = 4,
        interval: int = 5,
        least_score: float = 0.5,
        names: int = 2,
        shown_channels: Sequence[int] = (0, 1, 2),
    ) -> None:
        self.dataset_config, self.count, self.interval = dataset, count, interval
        self.least_score, self.names = least_score, names
        self.shown_channels = tuple(shown_channels)
        self._items: list[dict[str, Any]] | None = None

    def after_train_epoch(self, runner: Any) -> None:
        """Draw at the end of every `interval`-th epoch."""
        if self.every_n_epochs(runner, self.interval):
            self._draw_all(runner)

    def after_train(self, runner: Any) -> None:
        """Draw what the fitted model says."""
        self._draw_all(runner)

    @master_only
    def _draw_all(self, runner: Any) -> None:
        if self._items is None:
            dataset = DATASETS.build(self.dataset_config)
            self._items = [dataset[index] for index in range(min(self.count, len(dataset)))]
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        was_training = model.training
        model.eval()
        for item in self._items:
            with torch.no_grad():
                sample = model.test_step(pseudo_collate([item]))[0]
            picture = self.draw(item["inputs"].numpy(), sample.pred_instances)
            runner.visualizer.add_image(f"cells/{sample.hpa_id}", picture, step=runner.epoch)
        model.train(was_training)

    def draw(self, channels: NDArray[np.uint8], found: Any) -> NDArray[np.uint8]:
        """Draw one image.

        Args:
            channels: (C, H, W) uint8.
            found: instances with `scores`, `bboxes`, `mask_probs` (or `masks`, where the
                cells were given), and `localization_scores` where the model names cells.

        Returns:
            (H, W, 3) uint8.
        """
        picture = np.ascontiguousarray(channels[list(self.shown_channels)].transpose(1, 2, 0))
        found = found.cpu()
        boxes = getattr(found.bboxes, "tensor", found.bboxes).numpy()
        cells: list[DrawnCell] = []
        for row in (found.scores >= self.least_score).nonzero()[:, 0].tolist():
            if "mask_probs" in found:
                cell = paste_outline(found.mask_probs[row].numpy(), boxes[row], picture.shape[:2])
            else:
                cell = whole_outline(found.masks.masks[row] > 0)
            if cell is None:
                continue
            if "localization_scores" in found:
                scores = found.localization_scores[row].numpy()
                first = np.argsort(-scores, kind="stable")[: self.names]
                cell = named(cell, first.tolist(), scores[first].tolist())
            cells.append(cell)
        return draw_cells(picture, cells)


def paste_outline(
    mask_probs: NDArray[np.floating], box_xyxy: NDArray[np.floating], shape_hw: tuple[int, int]
) -> DrawnCell | None:
    """Outline a predicted mask.

    Args:
        mask_probs: (S, S) in 0..1, stretched over the box.
        box_xyxy: in pixels of the picture.
        shape_hw: of the picture.

    Returns:
        None where no pixel of the picture is at least 0.5.
    """
    left, top = (max(int(np.floor(start)), 0) for start in box_xyxy[:2])
    right = min(int(np.ceil(box_xyxy[2])), shape_hw[1])
    bottom = min(int(np.ceil(box_xyxy[3])), shape_hw[0])
    if right <= left or bottom <= top:
        return None
    size_wh = (right - left, bottom - top)
    mask = cv2.resize(mask_probs.astype(np.float32), size_wh) >= 0.5
    return outline(mask, (left, top)) if mask.any() else None


def whole_outline(mask: NDArray[np.bool_]) -> DrawnCell | None:
    """Outline a mask of the picture's size, (H, W); None where it has no pixel."""
    return outline(mask) if mask.any() else None
