"""albumentations in an mmdet pipeline, with cells, boxes and label sets kept together."""

from collections.abc import Sequence
from typing import Any

import albumentations
import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AlbumentationsBridge(BaseTransform):
    """Apply albumentations to `img` and `cell_label_image` alike.

    The cells travel as one label image, so albumentations needs no boxes: `PackCells`
    reads boxes, masks and label sets off what is left of each cell.

    Args:
        transforms: configs with `type`, a class of albumentations, and its arguments.

    Random choices follow numpy's global generator, which mmengine seeds in each worker, so
    a run is repeated by its seed.

    Raises:
        ValueError: albumentations has no such class.
    """

    def __init__(self, transforms: Sequence[dict[str, Any]]) -> None:
        steps = []
        for config in transforms:
            arguments = dict(config)
            name = arguments.pop("type")
            if not hasattr(albumentations, name):
                raise ValueError(
                    f"transform {name!r}: found nothing of that name in albumentations "
                    f"{albumentations.__version__}; look the class up in its reference"
                )
            steps.append(getattr(albumentations, name)(**arguments))
        self.compose = albumentations.Compose(steps, mask_interpolation=cv2.INTER_NEAREST)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Turn image and cells; shapes follow."""
        self.compose.set_random_seed(int(np.random.randint(2**31)))  # noqa: NPY002
        turned = self.compose(image=results["img"], mask=results["cell_label_image"])
        results["img"], results["cell_label_image"] = turned["image"], turned["mask"]
        results["img_shape"] = results["img"].shape[:2]
        return results
