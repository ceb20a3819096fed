"""Images and data sets for the tests of the image cache."""

from pathlib import Path

import numpy as np
import tifffile

from hpa_mmdet.datasets import HpaCellDataset
from hpa_mmdet.datasets.image_cache import ImageCache
from hpa_mmdet.datasets.working_image import decode_working_image
from hpa_mmdet.io.channels import CHANNELS, ImageFiles

SHAPE_HW = (30, 44)


def write_image(folder: Path, image_id: str, dtype: type = np.uint8, seed: int = 0) -> ImageFiles:
    rng = np.random.default_rng(seed)
    paths = {channel: folder / f"{image_id}_{channel}.tif" for channel in CHANNELS}
    for path in paths.values():
        tifffile.imwrite(path, rng.integers(0, np.iinfo(dtype).max, SHAPE_HW, dtype, endpoint=True))
    return ImageFiles(image_id, paths)


def entry_of(files: ImageFiles) -> dict[str, object]:
    paths = {channel: str(path) for channel, path in files.paths.items()}
    return {"hpa_id": files.image_id, "channel_paths": paths}


def put(cache: ImageCache, files: ImageFiles) -> None:
    cache.store(files, decode_working_image(files, cache.channels, cache.scale))


def dataset(folder: Path, **load: object) -> HpaCellDataset:
    steps = [{"type": "LoadHpaChannels", **load}, {"type": "LoadCells"}, {"type": "PackCells"}]
    return HpaCellDataset(ann_file=str(folder / "train.json"), pipeline=steps)
