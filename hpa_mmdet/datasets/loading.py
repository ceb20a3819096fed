"""From files to arrays: the channels of an image, and its cells as one label image.

H, W: image size in pixels; C: channels; N: cells; K = 19.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from numpy.typing import NDArray

from hpa_mmdet.coco.draw import label_image_from_rles
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels
from hpa_mmdet.localizations import NUM_LOCALIZATIONS


@TRANSFORMS.register_module()
class LoadHpaChannels(BaseTransform):
    """Read the channels named, in that order, from `channel_paths` into `img`.

    Args:
        channels: names, such as red, green, blue, yellow.

    Adds `img` (H, W, C) uint8 and its shapes. 16 bit is brought to 0..255 here, by
    dividing by 257, and nowhere else.
    """

    def __init__(self, channels: Sequence[str] = CHANNELS) -> None:
        self.channels = tuple(channels)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load one image; what `read_channels` raises names the file."""
        paths = {name: Path(path) for name, path in results["channel_paths"].items()}
        image = to_uint8(read_channels(ImageFiles(results["hpa_id"], paths), self.channels))
        expected = (results.get("height", image.shape[0]), results.get("width", image.shape[1]))
        if image.shape[:2] != expected:
            raise InputError(
                f"image {results['hpa_id']}",
                f"{image.shape[1]}x{image.shape[0]} pixels",
                f"{expected[1]}x{expected[0]} as its annotations say",
                "convert again from the images you train on",
            )
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results


def to_uint8(image: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Bring 8 or 16 bit to 0..255.

    Raises:
        InputError: another depth.
    """
    if image.dtype == np.uint8:
        return image.astype(np.uint8, copy=False)
    if image.dtype == np.uint16:
        return np.asarray((image.astype(np.uint32) + 128) // 257, dtype=np.uint8)
    raise InputError("image", f"{image.dtype} pixels", "8 or 16 bit", "export it as 8 or 16 bit")


@TRANSFORMS.register_module()
class LoadCells(BaseTransform):
    """Draw the image's cells into one label image, and list their label sets.

    Adds `cell_label_image` (H, W) uint16, in which k > 0 is row k - 1 of
    `cell_localizations` (N, K) and of `cell_ids` (N,). Transforms then turn one array in
    place of N masks, and a cell, its box and its labels cannot part. Localizations are
    uint8 of 0 and 1, or float32 where the data set has soft labels.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Decode one image's cells. Where two cells overlap the later one is on top."""
        instances = results["instances"]
        counts = [each["mask"]["counts"] for each in instances]
        label_image = label_image_from_rles(
            counts, results["img_shape"], where=f"image {results['hpa_id']}"
        ).astype(np.uint16)
        soft = any(each.get("localization_probs") for each in instances)
        localizations = np.zeros(
            (len(instances), NUM_LOCALIZATIONS), np.float32 if soft else np.uint8
        )
        for row, instance in enumerate(instances):
            probs = instance.get("localization_probs") or 1
            localizations[row, instance["localizations"]] = probs
        results["cell_label_image"] = label_image
        results["cell_localizations"] = localizations
        results["cell_ids"] = np.array([each["cell_id"] for each in instances], np.int64)
        return results
