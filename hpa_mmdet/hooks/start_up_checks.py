"""Checks before the first step of what would stop a training run later."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from hpa_mmdet.errors import InputError

_NAMED = 3  # so many examples are named


@HOOKS.register_module()
class StartUpChecks(Hook):
    """Look for missing channel files, labels and cells before training starts.

    That the classes are the JSON's, and that there are training images with cells,
    `HpaCellDataset` checks when it is built.

    Raises:
        InputError: a channel's file is missing, no image has a label, or the validation set
            has no cells.
    """

    priority = "VERY_HIGH"

    def before_train(self, runner: Any) -> None:
        """Check the training set, and that for validation where there is one."""
        check_dataset(runner.train_dataloader.dataset)
        if runner.val_loop is not None:
            check_dataset(runner.val_dataloader.dataset)
            check_has_cells(runner.val_dataloader.dataset)


def check_dataset(dataset: Any) -> None:
    """Check a data set's files and labels without opening an image.

    Args:
        dataset: has `get_data_info(index)`, or the quicker `get_image_info(index)`, as
            `HpaCellDataset`; wrappers such as mmdet's RepeatDataset are looked into.
    """
    while not hasattr(dataset, "get_data_info"):
        dataset = dataset.dataset
    look_up = getattr(dataset, "get_image_info", dataset.get_data_info)
    where = getattr(dataset, "ann_file", "data set")
    channels = _channels_read(dataset)
    named: list[str] = []
    missing, labelled = 0, False
    for entry in map(look_up, range(len(dataset))):  # one at a time: there may be very many
        labelled = labelled or bool(entry["image_labels"])
        for channel in channels:
            path = entry["channel_paths"].get(channel)
            if not _is_there(path):
                missing += 1
                named.append(str(path or f"{entry['hpa_id']} ({channel})"))
                del named[_NAMED:]
    if missing:
        more = " ..." if missing > _NAMED else ""
        raise InputError(
            where,
            f"{missing} channel files missing ({', '.join(named)}{more})",
            f"{', '.join(channels)} of all {len(dataset)} images",
            "correct --data-root, or convert again from the folder that has them",
        )
    if not labelled:
        raise InputError(
            where,
            f"{len(dataset)} images without labels",
            "image labels to learn from",
            "convert with --labels",
        )


def check_has_cells(dataset: Any) -> None:
    """Require that at least one image of a validation set has cells, to be scored on.

    Raises:
        InputError: none has.
    """
    while not hasattr(dataset, "get_data_info"):
        dataset = dataset.dataset
    if not any(dataset.get_data_info(index)["instances"] for index in range(len(dataset))):
        raise InputError(
            getattr(dataset, "ann_file", "data set"),
            problem=f"none of its {len(dataset)} images has cells to score a model on",
            remedy="look at the masks it was converted from, or split the data again",
        )


def _channels_read(dataset: Any) -> tuple[str, ...]:
    transforms: Iterable[Any] = getattr(getattr(dataset, "pipeline", None), "transforms", ())
    for transform in transforms:
        if hasattr(transform, "channels"):
            return tuple(transform.channels)
    return ()


def _is_there(path: str | None) -> bool:
    return path is not None and Path(path).is_file()
