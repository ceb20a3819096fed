"""What the options of tools/train.py change in a config before anything is built."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_mmdet.compat.amp import mixed_precision
from hpa_mmdet.errors import InputError

_IMAGE_SCORE = "image/map"  # what image labels can tell of the names of given cells
_PARTS = ("model", "train_cfg", "train_dataloader", "optim_wrapper", "default_hooks")


def apply(config: Any, args: argparse.Namespace) -> None:
    """Write the tool's own options into the config."""
    config.launcher = args.launcher
    config.work_dir = str(args.work_dir or Path("work_dirs") / args.config.stem)
    if args.instances == "masks":
        use_given_cells(config)
    if args.amp:
        config.optim_wrapper.update(mixed_precision())
    if args.auto_scale_lr:
        config.auto_scale_lr.enable = True
    if args.seed is not None:
        config.randomness.seed = args.seed
    if args.groups:
        _keep_together(config, [str(word) for word in args.groups])
    if args.white_level is not None:
        config.white_level = args.white_level
    if args.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        config.randomness.deterministic = True
    if args.resume:
        config.resume = True
        config.load_from = None if args.resume == "auto" else args.resume


def check_parts(config: Any, path: Path) -> None:
    """Look for what training needs of a config.

    Raises:
        InputError: a part is missing.
    """
    lacking = [name for name in _PARTS if not config.get(name)]
    if lacking:
        raise InputError(
            path,
            problem=f"no {', '.join(lacking)}: it is no config for training",
            remedy="take one of configs/mask_rcnn, or name one in _base_",
        )


def check_work_dir(folder: Path) -> None:
    """Make the work dir and write into it, before any work.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"--work-dir {folder}",
            problem=f"cannot be written ({error.strerror})",
            remedy="choose another folder",
        ) from error


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
            problem="the config's model has no localization branch",
            remedy="choose a config whose model names cells",
        )
    config.model.detect = False
    if not branch.get("train_with_detector", False):
        config.train_cfg.max_epochs = 0
        config.param_scheduler = None  # there are no steps to schedule
    for dataset in _shown_datasets(config):
        packing = dataset.pipeline[-1]
        packing.update(as_given=True, min_side_px=1)
        if not any(step.type == "LoadCells" for step in dataset.pipeline):
            dataset.pipeline.insert(len(dataset.pipeline) - 1, {"type": "LoadCells"})
    if config.get("val_evaluator"):
        metrics = config.val_evaluator
        config.val_evaluator = [one for one in metrics if one.type != "CellDetectionMetric"]
        if config.default_hooks.checkpoint.get("save_best"):
            config.default_hooks.checkpoint.save_best = _IMAGE_SCORE
        for hook in config.get("custom_hooks", ()):
            if hook.type == "EarlyStoppingHook":
                hook.monitor = _IMAGE_SCORE


def _keep_together(config: Any, groups: list[str]) -> None:
    fit = config.train_cfg.get("fit")
    if fit is None:
        raise InputError(
            "--groups",
            problem="the config has no fit of heads, which alone takes it",
            remedy="leave it out, or choose a config of DetectThenFitLoop",
        )
    fit.groups = groups


def check_annotation_files(config: Any) -> None:
    """Look for the JSON files before anything is built.

    Raises:
        InputError: one is missing; says how to make it.
    """
    loaders = [config.get(name) for name in ("train_dataloader", "val_dataloader")]
    for dataset in (_innermost(loader.dataset) for loader in loaders if loader):
        path = Path(dataset.get("ann_file", ""))
        if not dataset.get("ann_file") or path.is_file():
            continue
        part = next((end for end in ("_train", "_val") if path.stem.endswith(end)), "")
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
