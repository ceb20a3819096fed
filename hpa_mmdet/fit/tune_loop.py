"""Training of a crop classifier: the heads on frozen features first, then all of it.

Heads that know nothing send noise into a pretrained backbone; heads that were fitted on its
frozen features let it change little by little.

Source:
    Linear probing, then fine-tuning: Kumar et al., ICLR 2022, arXiv 2202.10054.
"""

from typing import Any

from mmdet.registry import LOOPS
from torch import nn

from hpa_mmdet.compat.processes import bare_model
from hpa_mmdet.fit.detector_weights import share_weights, take_best_weights
from hpa_mmdet.fit.loop import DetectThenFitLoop


@LOOPS.register_module()
class FitThenTuneLoop(DetectThenFitLoop):
    """A fit of the localization heads on cached features, then epochs of the whole network.

    Args:
        runner: mmengine's.
        dataloader: of the epochs.
        fit: as of `DetectThenFitLoop`; `first=False` starts from the heads as they are.
        max_epochs: of the whole network; 0 leaves it at the fit.
        refit: fit the heads once more on the tuned features at the end.
        kwargs: of `EpochBasedTrainLoop`.

    The model that is saved as fitted.pth, with thresholds and exponents, is the checkpoint
    that did best on validation, else the average over the steps, else the last one. The first
    fit is validated, too, as epoch 0: where no epoch betters it, nothing stays of the tuning.
    A resumed run does not repeat the first fit.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: Any,
        fit: dict[str, Any],
        max_epochs: int,
        refit: bool = False,
        **kwargs: Any,
    ) -> None:
        options = dict(fit)
        self.fits_first = bool(options.pop("first", True))
        super().__init__(runner, dataloader, options, max_epochs, **kwargs)
        self.refit = refit

    def run(self) -> nn.Module:
        """Fit the heads, tune everything, keep the best."""
        self.runner.call_hook("before_train")
        self.continue_stopped()
        if self._epoch == 0 and self.fits_first:
            self.fit_heads_once()
            share_weights(self.runner)
            self.is_fitted = True
            if self._max_epochs and self.runner.val_loop is not None:
                self.runner.val_loop.run()  # what the epochs have to better
        self.is_fitted = True  # every epoch trains the heads
        self.run_epochs()
        kept = take_best_weights(self.runner)
        self.runner.logger.info(f"kept: {kept}")
        # the heads of epoch 0 are fitted on what its network says
        self.finish(refit=self.refit and not kept.endswith("_epoch_0.pth"))
        model: nn.Module = bare_model(self.runner)
        return model
