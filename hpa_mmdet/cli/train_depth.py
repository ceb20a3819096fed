"""The intensity that is full brightness in a training set, measured once for all images."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_mmdet.coco.index import open_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles
from hpa_mmdet.io.depth import measure_depth

_SAMPLED_IMAGES = 32


def set_white_level(config: Any) -> str:
    """Write the white level into the config and into all of its loading steps.

    Args:
        config: its `white_level` stands where there is one; else it is measured on 32 images
            of the training set.

    Returns:
        A sentence for the log; empty where no images are read.

    Raises:
        InputError: the JSON of the training set cannot be read, or the level is no number
            that 16-bit pixels can have.
    """
    level, told = config.get("white_level"), "white level {} as the config says"
    steps = [step for step in _loading_steps(config._cfg_dict) if not step.get("white_level")]
    dataset = config.train_dataloader.dataset
    while "dataset" in dataset:
        dataset = dataset.dataset
    if level is None:
        reading = next(_loading_steps(dataset), None)
        if reading is None or not dataset.get("ann_file"):
            return ""
        images = _sample(dataset)
        depth = measure_depth(images, tuple(reading.get("channels", CHANNELS)))
        level, told = depth.white_level, depth.describe()
    if not isinstance(level, int) or not 0 < level < 2**16:
        raise InputError("white_level", level, "1 to 65535", "correct the config or --white-level")
    config.white_level = level
    for step in steps:
        step["white_level"] = level
    return told.format(level)


def _sample(dataset: Any) -> list[ImageFiles]:
    data = open_coco(Path(dataset.ann_file))
    folder = dataset.get("data_prefix", {}).get("img") or data.images_root
    root = Path(folder) if folder else Path(dataset.ann_file).parent
    step = max(1, len(data.images) // _SAMPLED_IMAGES)
    images = [data.images[place] for place in range(0, len(data.images), step)]
    return [
        ImageFiles(image.hpa_id, {name: root / path for name, path in image.channel_files.items()})
        for image in images[:_SAMPLED_IMAGES]
    ]


def _loading_steps(node: Any) -> Iterator[Any]:
    """Find every `LoadHpaChannels` in nested containers."""
    if isinstance(node, dict):
        if node.get("type") == "LoadHpaChannels":
            yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for item in node:
            yield from _loading_steps(item)
