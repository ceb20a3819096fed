"""Pictures of what the network finds, in TensorBoard while it trains.

H, W: image size in pixels; C: channels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.registry import DATASETS, HOOKS
from mmengine.dataset import pseudo_collate
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from numpy.typing import NDArray

from hpa_mmdet.pages.draw import draw_cells
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.predictions.drawing import draw_called
from hpa_mmdet.predictions.instances import read_instances


@HOOKS.register_module()
class PredictionPictures(Hook):
    """Draw the cells found in a few images every few epochs.

    Args:
        dataset: config of a data set whose pipeline ends in `PackCells`, not augmented.
        count: images, the first of the data set.
        interval: epochs between the drawings; the fitted model is drawn too.
        least_score: p(cell) from which on a cell is drawn.
        shown_channels: input channels that become red, green and blue of the picture.
    """

    priority = "LOW"  # after the checkpoint

    def __init__(
        self,
        dataset: dict[str, Any],
        count: int = 4,
        interval: int = 5,
        least_score: float = 0.5,
        shown_channels: Sequence[int] = (0, 1, 2),
    ) -> None:
        self.dataset_config, self.count, self.interval = dataset, count, interval
        self.rules = CallRules(cell_score=least_score)
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
        height, width = picture.shape[:2]
        cells = read_instances(found, (height, width), "prediction")
        prediction = ImagePrediction("", width, height, cells)
        return draw_cells(picture, draw_called(prediction, self.rules))
