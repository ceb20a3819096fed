"""Training in two stages: the detector's epochs, then the localization heads on a cache.

A few hundred detector steps show each cell once or twice; a fit on cached features shows
it dozens of times in seconds, with whole images as bags.

Source:
    Decoupling representation and classifier: Kang et al., ICLR 2020, arXiv 1910.09217.
"""

import time
from pathlib import Path
from typing import Any

from mmdet.registry import LOOPS
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from hpa_mmdet.hooks.feature_cache import cache_features, join_caches
from hpa_mmdet.hooks.fit_heads import fit_heads
from hpa_mmdet.io.atomic import atomic_path

FITTED_CHECKPOINT = "fitted.pth"


@LOOPS.register_module()
class DetectThenFitLoop(EpochBasedTrainLoop):
    """mmengine's epochs, then a fit of the localization heads, then a validation.

    With `max_epochs` 0 there is only the fit: pretrained features and the cells of a
    segmenter, no detector.

    Args:
        runner: mmengine's.
        dataloader: of the detector's stage.
        fit: arguments of `fit_heads` and `dataloader`, a config whose pipeline ends in
            `PackCells` and does not augment; `more_dataloaders`, a list of others, such
            as the same images with another channel in place of the protein's.
        max_epochs: of the detector's stage.
        kwargs: of `EpochBasedTrainLoop`.

    The fitted model is saved as fitted.pth and becomes the run's last checkpoint, so a
    resumed run repeats at most the fit.
    """

    def __init__(
        self, runner: Any, dataloader: Any, fit: dict[str, Any], max_epochs: int, **kwargs: Any
    ) -> None:
        super().__init__(runner, dataloader, max_epochs=max_epochs, **kwargs)
        self.fit_options = dict(fit)
        first = self.fit_options.pop("dataloader")
        self.fit_dataloaders = [first, *self.fit_options.pop("more_dataloaders", ())]

    def run(self) -> nn.Module:
        """Train both stages."""
        self.runner.call_hook("before_train")
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._wants_validation():
                self.runner.val_loop.run()
        self.fit()
        if self.runner.val_loop is not None:
            self.runner.val_loop.run()
        self.runner.call_hook("after_train")
        return self.runner.model

    def fit(self) -> None:
        """Cache the features of all annotated cells, fit the heads, save the checkpoint."""
        runner = self.runner
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        start = time.monotonic()
        cache = join_caches(
            [
                cache_features(model, runner.build_dataloader(each, seed=runner.seed))
                for each in self.fit_dataloaders
            ]
        )
        cached = time.monotonic()
        runner.logger.info(
            f"cached {len(cache.cells)} cells of {len(cache.images)} images, "
            f"{cache.cells.shape[1]} features each, in {cached - start:.1f} s"
        )
        for epoch, losses in fit_heads(model, cache, seed=runner.seed, **self.fit_options):
            runner.visualizer.add_scalars(
                {f"fit/{name}": value for name, value in losses.items()}, step=epoch
            )
            last = losses
        summary = ", ".join(f"{name} {value:.4f}" for name, value in last.items())
        runner.logger.info(f"fitted in {time.monotonic() - cached:.1f} s: {summary}")
        runner.save_checkpoint(runner.work_dir, FITTED_CHECKPOINT, save_optimizer=False)
        if is_main_process():
            folder = Path(runner.work_dir)
            with atomic_path(folder / "last_checkpoint") as temporary:
                temporary.write_text(str(folder / FITTED_CHECKPOINT), encoding="utf-8")

    def _wants_validation(self) -> bool:
        # the last epoch's validation follows the fit
        return (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and self._epoch % self.val_interval == 0
            and self._epoch < self._max_epochs
        )
