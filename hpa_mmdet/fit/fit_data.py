"""The data sets that heads are fitted on, and where their features are kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_mmdet.compat.processes import bare_model
from hpa_mmdet.fit.feature_store import FeatureStore, weights_digest

NOT_OF_HEADS = ("dataloader", "more_dataloaders", "exponents_dataloader", "cross_folds", "groups")
"""Keys of `train_cfg.fit` that the loop takes; the others are arguments of `fit_heads`."""


class FitData:
    """A data set whose features are wanted, built before any work."""

    def __init__(self, runner: Any, name: str, config: dict[str, Any]) -> None:
        self.runner, self.name, self.config = runner, name, config
        self.dataset = runner.build_dataloader(config, seed=runner.seed).dataset

    def store_of(self, runner: Any) -> FeatureStore:
        """Give the features' store, for the weights that the model has now."""
        model: Any = bare_model(runner)
        settings = runner.cfg.get("model", {})
        depends_on = (
            weights_digest(model.localization.backbone or model.backbone),
            repr(self.config["dataset"]),
            repr(settings.get("data_preprocessor")),
            repr(settings.get("backbone")),  # weights alone do not say what it is shown
            repr((settings.get("localization") or {}).get("backbone")),
            model.localization.pooling,
        )
        folder = Path(runner.work_dir) / "features"
        return FeatureStore(folder, self.name, self.dataset, depends_on, runner.seed)

    def image_names(self) -> Iterator[str]:
        """Give the names of its images."""
        look_up = getattr(self.dataset, "get_image_info", self.dataset.get_data_info)
        return (str(look_up(place)["hpa_id"]) for place in range(len(self.dataset)))

    def build_loader(self, dataset: Any, places: list[int]) -> Any:
        """Build a loader of some items, with the config's workers and batches."""
        config = {**self.config, "dataset": dataset, "sampler": places}
        return self.runner.build_dataloader(config, seed=self.runner.seed)
