"""Training in two stages: the detector's epochs, then the localization heads on a cache.

A few hundred detector steps show each cell once or twice; a fit on cached features shows
it dozens of times in seconds, with whole images as bags.

Source:
    Decoupling representation and classifier: Kang et al., ICLR 2020, arXiv 1910.09217.
"""

import math
import time
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from mmdet.registry import LOOPS
from mmengine.dist import is_main_process
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.compat.processes import bare_model
from hpa_mmdet.fit.detector_weights import (
    best_checkpoint,
    share_weights,
    take_best_weights,
)
from hpa_mmdet.fit.exponents import (
    choose_by_training_cells,
    choose_exponents,
    choose_negative,
)
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.feature_store import open_features
from hpa_mmdet.fit.fit_data import FitData
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.fit.predictions import BagPrediction, predict_bags, predict_held_out
from hpa_mmdet.fit.teaching import fit_taught_heads, has_reviewed_cells
from hpa_mmdet.fit.thresholds import choose_thresholds
from hpa_mmdet.io.atomic import atomic_path

FITTED_CHECKPOINT = "fitted.pth"
_STOPPED = "stopped_early_of"  # in the checkpoint: of how many epochs no more will follow


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
            as the same images with another channel in place of the protein's;
            `exponents_dataloader`, one of validation images on which `choose_exponents`
            weighs image against cell; `cross_folds`: where cells are reviewed, the number of folds
            in which the training set is predicted, to teach the cells that are not
            (`fit_taught_heads`) and to weigh image against cell where validation has no
            reviewed cells (0: neither); `groups`: a table and its column, such as the antibody of
            each image, kept together where image is weighed against cell.
        max_epochs: of the detector's stage.
        kwargs: of `EpochBasedTrainLoop`.

    The heads are fitted beside the detector's best weights (see `take_best_weights`). The
    fitted model is saved as fitted.pth, with thresholds for calling its classes, and becomes
    the run's last checkpoint, so a resumed run repeats at most the fit. Features are kept in the
    work dir until then (see `FeatureStore`). Of several processes each computes its share of
    them, the main one fits, and the others take its heads.
    """

    def __init__(
        self, runner: Any, dataloader: Any, fit: dict[str, Any], max_epochs: int, **kwargs: Any
    ) -> None:
        super().__init__(runner, dataloader, max_epochs=max_epochs, **kwargs)
        self.fit_options = dict(fit)
        first = self.fit_options.pop("dataloader")
        more = self.fit_options.pop("more_dataloaders", ())
        exponents = self.fit_options.pop("exponents_dataloader", None)
        # built now, so that a mistake in one of them does not cost the detector's epochs
        self.fit_data = [FitData(runner, f"fit-{at}", one) for at, one in enumerate([first, *more])]
        self.exponents_data = FitData(runner, "exponents", exponents) if exponents else None
        self.cross_folds = int(self.fit_options.pop("cross_folds", 3))
        names = (name for data in self.fit_data for name in data.image_names())
        self.grouping = Grouping.of_option(
            self.fit_options.pop("groups", None), names, self.cross_folds
        )
        signature(fit_heads).bind(None, None, **self.fit_options)
        self.is_fitted = False
        self._held_out: list[BagPrediction] = []  # images with reviewed cells

    def checkpoint_meta(self) -> dict[str, Any]:
        """Say what checkpoints hold: `fitted`, whether cells are named by heads that learnt.

        `white_level` is the intensity of full brightness that the images were read with.
        """
        branch = getattr(bare_model(self.runner), "localization", None)
        trained = branch is None or branch.train_with_detector
        about: dict[str, Any] = {"fitted": bool(self.is_fitted or trained)}
        if self.runner.cfg.get("white_level"):
            about["white_level"] = int(self.runner.cfg.white_level)
        return about

    def run(self) -> nn.Module:
        """Train both stages."""
        self.runner.call_hook("before_train")
        self.continue_stopped()
        self.run_epochs()
        self.runner.logger.info(f"the heads are fitted beside {take_best_weights(self.runner)}")
        self.finish(refit=True)
        model: nn.Module = self.runner.model
        return model

    def continue_stopped(self) -> None:
        """Remember, in a resumed run, that it had stopped early."""
        if self.runner.message_hub.runtime_info.get(_STOPPED) == self._max_epochs:
            self.stop_training = True

    def run_epochs(self) -> None:
        """Run mmengine's epochs, with validation after each but the last."""
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._wants_validation():
                self.runner.val_loop.run()
        if self.stop_training:
            self.runner.message_hub.update_info(_STOPPED, self._max_epochs)

    def finish(self, refit: bool) -> None:
        """Save the model with its thresholds as fitted.pth, and validate it.

        Args:
            refit: fit the heads on its features first.
        """
        self.fit(refit)
        if self.runner.val_loop is not None:
            self.runner.val_loop.run()
            self._point_to_fitted()  # a new best score makes mmengine point to its epoch
        self.runner.call_hook("after_train")

    def fit_heads_once(self) -> FeatureCache | None:
        """Cache the features of all annotated cells and fit the heads on them.

        Returns:
            The features, in the main process; None in the others.
        """
        known = self._features(self.fit_data)
        if known is not None:
            self._fit_on(known)
        return known

    def fit(self, refit: bool = True) -> None:
        """Fit the heads, choose exponents and thresholds, save the checkpoint.

        Args:
            refit: False leaves the heads as they are.
        """
        runner = self.runner
        self._held_out = []
        known = self.fit_heads_once() if refit else self._features(self.fit_data[:1])
        validation = self._features([self.exponents_data]) if self.exponents_data else None
        meta = {}
        if known is not None:
            meta["thresholds"] = self._choose(known, validation).tolist()
        share_weights(runner)
        self.is_fitted = True
        best = best_checkpoint(runner)  # whoever takes it for prediction wants its heads fitted
        for name in (best.name if best else None, FITTED_CHECKPOINT):
            if name is not None:
                runner.save_checkpoint(runner.work_dir, name, save_optimizer=False, meta=dict(meta))
        self._point_to_fitted()
        if is_main_process():
            for data in (*self.fit_data, *filter(None, [self.exponents_data])):
                data.store_of(runner).parts.remove()

    def _point_to_fitted(self) -> None:
        if is_main_process():
            folder = Path(self.runner.work_dir)
            with atomic_path(folder / "last_checkpoint") as temporary:
                temporary.write_text(str(folder / FITTED_CHECKPOINT), encoding="utf-8")

    def _features(self, data: Sequence[FitData]) -> FeatureCache | None:
        """Compute what is lacking of some data sets' features, and open them all."""
        runner, start = self.runner, time.monotonic()
        stores = [one.store_of(runner) for one in data]
        for one, store in zip(data, stores, strict=True):
            store.compute(bare_model(runner), one.build_loader)
        if not is_main_process():
            return None
        cache = open_features([path for store in stores for path in store.paths()])
        runner.logger.info(
            f"cached {len(cache.cells)} cells of {len(cache.counts)} images, "
            f"{cache.cells.shape[1]} features each, in {time.monotonic() - start:.1f} s"
        )
        if left_out := sum(store.left_out() for store in stores):
            runner.logger.warning(
                f"{left_out} annotated cells are left out: hidden under others, or too small"
            )
        return cache

    def _fit_on(self, cache: FeatureCache) -> None:
        runner, start = self.runner, time.monotonic()
        model = bare_model(runner)
        options = {**self.fit_options, "seed": runner.seed}
        if self._can_teach(cache):
            options["grouping"] = self.grouping
            history, self._held_out = fit_taught_heads(model, cache, self.cross_folds, **options)
        else:
            history = fit_heads(model, cache, **options)
        for epoch, losses in history:
            runner.visualizer.add_scalars(
                {f"fit/{name}": value for name, value in losses.items()}, step=epoch
            )
            last = losses
        summary = ", ".join(f"{name} {value:.4f}" for name, value in last.items())
        runner.logger.info(f"fitted in {time.monotonic() - start:.1f} s: {summary}")

    def _can_teach(self, cache: FeatureCache) -> bool:
        enough = 1 < self.cross_folds <= len(cache.counts)
        return enough and has_reviewed_cells(cache)

    def _predict_reviewed(self, cache: FeatureCache) -> list[BagPrediction]:
        options = {**self.fit_options, "seed": self.runner.seed, "grouping": self.grouping}
        predicted = predict_held_out(bare_model(self.runner), cache, self.cross_folds, **options)
        return [bag for bag in predicted if bag.reviewed.any()]

    def _choose(self, known: FeatureCache, validation: FeatureCache | None) -> Any:
        """Choose the learnt Negative, exponents and thresholds on cells that were not learnt from.

        Reviewed cells of the validation set come first, then those of the training set, which
        heads predict that are fitted on the other images.

        Returns:
            (K,) thresholds.
        """
        model: Any = bare_model(self.runner)
        branch = model.localization
        bags = predict_bags(model, known if validation is None else validation)
        reviewed = [] if validation is None else [bag for bag in bags if bag.reviewed.any()]
        held_out: list[BagPrediction] = []
        if not reviewed and self._can_teach(known):
            held_out = reviewed = self._held_out or self._predict_reviewed(known)
        if held_out:
            chosen = choose_by_training_cells(branch, held_out)
            self._say_exponents(branch, chosen, len(held_out))
        elif validation is not None:
            if reviewed and branch.negative == "derived":
                choose_negative(branch, reviewed)
            chosen = choose_exponents(branch, reviewed or bags)
            self._say_exponents(branch, chosen, len(reviewed) or len(bags))
        return choose_thresholds(branch, bags, reviewed)

    def _say_exponents(self, branch: Any, chosen: tuple[float, float, float], images: int) -> None:
        image, cells, score = chosen
        how = f"chosen on {images} images (mean AP {score:.4f})"
        if math.isnan(score):
            how = "the defaults, since the validation set has no per-cell labels"
        self.runner.logger.info(
            f"exponents: {image:g} of the image head, {cells:g} of the image's cells; {how}; "
            f"share of the learnt Negative: {float(branch.learnt_negative):g}"
        )

    def _wants_validation(self) -> bool:
        # the last epoch's validation follows the fit
        return (
            self.runner.val_loop is not None
            and self._epoch >= self.val_begin
            and self._epoch % self.val_interval == 0
            and self._epoch < self._max_epochs
        )
