"""From files to arrays: the channels of an image, and its cells as one label image.

H, W: image size in pixels; C: channels; N: cells; K = 19.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from hpa_mmdet.datasets.image_cache import CacheWriteError, ImageCache
from hpa_mmdet.datasets.working_image import WorkingImage, decode_working_image
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.label_image import label_image_from_rles

__all__ = ["LoadCells", "LoadHpaChannels", "image_files"]


@TRANSFORMS.register_module()
class LoadHpaChannels(BaseTransform):
    """Read the channels named, in that order, from `channel_paths` into `img`.

    Args:
        channels: names, such as red, green, blue, yellow.
        scale: pixels of the working image for each of the file's; `LoadCells` scales the
            cells alike, and all that follows sees an image of that size.
        cache: folder of an `ImageCache`, which each image that is not there yet is put
            into; None or empty for none. Where it cannot be written to, images are
            decoded from their files as without it, after one warning.
        white_level: full brightness in 16-bit files, which becomes 255 here and nowhere else;
            tools/train.py sets it for the whole data set. None measures it image by image.

    Adds `img` (H, W, C) uint8 and its shapes.

    Raises:
        InputError: a scale that is not above 0.
    """

    def __init__(
        self,
        channels: Sequence[str] = CHANNELS,
        scale: float = 1.0,
        cache: str | Path | None = None,
        white_level: int | None = None,
    ) -> None:
        if not scale > 0:
            raise InputError("LoadHpaChannels, scale", scale, "above 0", "correct the config")
        self.channels, self.scale = tuple(channels), float(scale)
        self.white_level = white_level
        self.cache = (
            ImageCache(Path(cache), self.channels, self.scale, white_level) if cache else None
        )
        self.stores = True

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load one image; what `read_channels` raises names the file."""
        image = self._load(image_files(results))
        found = image.source_shape_hw
        expected = (results.get("height", found[0]), results.get("width", found[1]))
        if found != expected:
            raise InputError(
                f"image {results['hpa_id']}",
                f"{found[1]}x{found[0]} pixels",
                f"{expected[1]}x{expected[0]} as its annotations say",
                "convert again from the images you train on",
            )
        results["img"] = image.pixels
        results["img_shape"] = results["ori_shape"] = image.pixels.shape[:2]
        results["source_shape"] = found
        return results

    def _load(self, files: ImageFiles) -> WorkingImage:
        if self.cache is None:
            return decode_working_image(files, self.channels, self.scale, self.white_level)
        found = self.cache.read(files)
        if found is not None:
            return found
        found = decode_working_image(files, self.channels, self.scale, self.white_level)
        if self.stores:
            try:
                self.cache.store(files, found)
            except CacheWriteError as error:
                self.stores = False
                warnings.warn(f"{error}. Going on without storing images.", stacklevel=2)
        return found


def image_files(results: dict[str, Any]) -> ImageFiles:
    """Give the files of a data set's entry."""
    paths = {name: Path(path) for name, path in results["channel_paths"].items()}
    return ImageFiles(results["hpa_id"], paths)


@TRANSFORMS.register_module()
class LoadCells(BaseTransform):
    """Draw the image's cells into one label image, and list their label sets.

    Adds `cell_label_image` (H, W) uint16, in which k > 0 is row k - 1 of
    `cell_localizations` (N, K), of `cell_ids` (N,) and of `cell_reviewed` (N,) bool, whether a
    person gave the cell its labels. Transforms then turn one array in place of N masks, and a
    cell, its box and its labels cannot part. Localizations are uint8 of 0 and 1, or float32
    where the data set has soft labels.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Decode one image's cells. Where two cells overlap the later one is on top."""
        instances = results["instances"]
        counts = [instance["mask"]["counts"] for instance in instances]
        shape_hw = results.get("source_shape", results["img_shape"])
        label_image = label_image_from_rles(
            counts, shape_hw, where=f"image {results['hpa_id']}"
        ).astype(np.uint16)
        if shape_hw != results["img_shape"]:
            height, width = results["img_shape"]
            resized = cv2.resize(label_image, (width, height), interpolation=cv2.INTER_NEAREST)
            label_image = np.asarray(resized, np.uint16)
        soft = any(instance.get("localization_probs") for instance in instances)
        localizations = np.zeros(
            (len(instances), NUM_LOCALIZATIONS), np.float32 if soft else np.uint8
        )
        for row, instance in enumerate(instances):
            probs = instance.get("localization_probs") or 1
            localizations[row, instance["localizations"]] = probs
        results["cell_label_image"] = label_image
        results["cell_localizations"] = localizations
        reviewed = [bool(instance.get("reviewed")) for instance in instances]
        results["cell_reviewed"] = np.array(reviewed, np.bool_)
        results["cell_ids"] = np.array([instance["cell_id"] for instance in instances], np.int64)
        return results
