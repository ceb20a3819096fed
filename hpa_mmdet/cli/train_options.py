"""What the options of tools/train.py change in a config before anything is built."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_mmdet.compat.amp import mixed_precision
from hpa_mmdet.errors import InputError

_IMAGE_SCORE = "image/map"  # what image labels can tell of the names of given cells


def use_mixed_precision(config: Any) -> None:
    """Turn mixed precision on, as this machine can do it."""
    config.optim_wrapper.update(mixed_precision())


def use_given_cells(config: Any) -> None:
    """Learn to name the cells of the JSON, and look for none.

    Where the branch learns with the detector, the epochs stay, without boxes and masks to
    learn; else only the fit is left. Validation names the cells of its JSON, and is judged
    by the image labels.

    Raises:
        InputError: the model has no localization branch.
    """
    if config.model.type == "CropClassifier":
        return  # it knows nothing but given cells
    branch = config.model.get("localization")
    if not branch:
        raise InputError(
            "--instances masks",
            "a model without localization branch",
            "one that names cells",
            "choose another config",
        )
    config.model.detect = False
    if not branch.get("train_with_detector", False):
        config.train_cfg.max_epochs = 0
        config.param_scheduler = None  # there are no steps to schedule
    for dataset in _shown_datasets(config):
        packing = dataset.pipeline[-1]
        packing.update(as_given=True, min_side_px=1)
        if not any(each.type == "LoadCells" for each in dataset.pipeline):
            dataset.pipeline.insert(len(dataset.pipeline) - 1, {"type": "LoadCells"})
    if config.get("val_evaluator"):
        kept = [each for each in config.val_evaluator if each.type != "CellDetectionMetric"]
        config.val_evaluator = kept
        if config.default_hooks.checkpoint.get("save_best"):
            config.default_hooks.checkpoint.save_best = _IMAGE_SCORE
        for hook in config.get("custom_hooks", ()):
            if hook.type == "EarlyStoppingHook":
                hook.monitor = _IMAGE_SCORE


def check_annotation_files(config: Any) -> None:
    """Look for the JSON files before anything is built.

    Raises:
        InputError: one is missing; says how to make it.
    """
    loaders = [config.get(name) for name in ("train_dataloader", "val_dataloader")]
    for dataset in (_innermost(each.dataset) for each in loaders if each):
        path = Path(dataset.get("ann_file", ""))
        if not dataset.get("ann_file") or path.is_file():
            continue
        part = next((each for each in ("_train", "_val") if path.stem.endswith(each)), "")
        whole = path.with_name(path.stem.removesuffix(part) + path.suffix)
        if part and whole.is_file():
            remedy = f"run python tools/split_coco.py {whole}"
        else:
            remedy = "correct --data-root, or make it with tools/convert_coco.py"
        raise InputError(path, "no file", "a JSON of tools/convert_coco.py", remedy)


def _shown_datasets(config: Any) -> Iterator[Any]:
    """The data sets whose cells are predicted in the course of training."""
    if config.get("val_dataloader"):
        yield config.val_dataloader.dataset
    for hook in config.get("custom_hooks", ()):
        if hook.type == "PredictionPictures":
            yield hook.dataset


def _innermost(dataset: Any) -> Any:
    while "dataset" in dataset:
        dataset = dataset.dataset
    return dataset
