"""Training in two stages: the detector's epochs, then the localization heads on a cache.

A few hundred detector steps show each cell once or twice; a fit on cached features shows
it dozens of times in seconds, with whole images as bags.

Source:
    Decoupling representation and classifier: Kang et al., ICLR 2020, arXiv 1910.09217.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmdet.registry import LOOPS
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop
from rich.progress import track
from torch import Tensor, nn

from hpa_mmdet.io.atomic import atomic_path

FITTED_CHECKPOINT = "fitted.pth"


class FeatureCache(NamedTuple):
    """Features of a data set. N: its cells; B: its images; D: length; K: classes.

    `cells` (N, D) in the order of the images; `counts` (B,) cells of each image; `images`
    (B, D); `image_labels` (B, K) of 0 and 1.
    """

    cells: Tensor
    counts: Tensor
    images: Tensor
    image_labels: Tensor


@LOOPS.register_module()
class DetectThenFitLoop(EpochBasedTrainLoop):
    """mmengine's epochs, then a fit of the localization heads, then a validation.

    With `max_epochs` 0 there is only the fit: pretrained features and the cells of a
    segmenter, no detector.

    Args:
        runner: mmengine's.
        dataloader: of the detector's stage.
        fit: arguments of `fit_heads` and `dataloader`, a config whose pipeline ends in
            `PackCells` and does not augment.
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
        self.fit_dataloader = self.fit_options.pop("dataloader")

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
        loader = runner.build_dataloader(self.fit_dataloader, seed=runner.seed)
        start = time.monotonic()
        cache = cache_features(model, loader)
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


def cache_features(model: Any, loader: Any) -> FeatureCache:
    """Compute the features of every annotated cell once.

    Args:
        model: with `data_preprocessor` and `describe_cells` (see `HpaMaskRCNN`).
        loader: batches of mmdet's form, not augmented.
    """
    model.eval()
    cells: list[Tensor] = []
    images: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in track(loader, description="features"):
        data = model.data_preprocessor(batch, training=False)
        found = model.describe_cells(data["inputs"], data["data_samples"])
        cells.extend(each.cpu() for each in found[0])
        images.append(found[1].cpu())
        labels.append(found[2].cpu())
    counts = torch.tensor([len(each) for each in cells])
    return FeatureCache(torch.cat(cells), counts, torch.cat(images), torch.cat(labels))


def fit_heads(
    model: Any,
    cache: FeatureCache,
    epochs: int = 25,
    lr: float = 1e-3,
    weight_decay: float = 1e-2,
    batch_images: int = 32,
    seed: int = 0,
) -> Sequence[tuple[int, dict[str, float]]]:
    """Fit the cell head and the image head of `model.localization` on cached features.

    Args:
        model: has `localization`, a `LocalizationBranch`, changed in place.
        cache: the training set's features.
        epochs: passes over all images.
        lr: highest learning rate of AdamW, one cycle.
        weight_decay: of AdamW.
        batch_images: bags per step.
        seed: of the order of the bags and of dropout.

    Returns:
        For each epoch its number and mean losses.
    """
    branch = model.localization
    device = next(branch.cell_head.parameters()).device
    branch.cell_head[0].fit(cache.cells.to(device))
    branch.image_head[0].fit(cache.images.to(device))
    parameters = [*branch.cell_head.parameters(), *branch.image_head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    steps = -(-len(cache.images) // batch_images)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps)
    bags = list(zip(cache.cells.split(cache.counts.tolist()), cache.images, strict=True))
    generator = torch.Generator().manual_seed(seed)
    history: list[tuple[int, dict[str, float]]] = []
    branch.cell_head.train()
    branch.image_head.train()
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else None):
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            sums: dict[str, float] = {}
            order = torch.randperm(len(bags), generator=generator)
            for chosen in order.split(batch_images):
                losses = branch.loss(*_batch(bags, cache.image_labels, chosen, device))
                optimizer.zero_grad()
                sum(losses.values()).backward()
                optimizer.step()
                schedule.step()
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach()) / steps
            history.append((epoch, sums))
    branch.eval()
    return history


def _batch(
    bags: Sequence[tuple[Tensor, Tensor]], labels: Tensor, chosen: Tensor, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    picked = [bags[each] for each in chosen.tolist()]
    counts = torch.tensor([len(cells) for cells, _ in picked])
    return (
        torch.cat([cells for cells, _ in picked]).to(device),
        torch.repeat_interleave(torch.arange(len(picked)), counts).to(device),
        torch.stack([image for _, image in picked]).to(device),
        labels[chosen].to(device),
    )
