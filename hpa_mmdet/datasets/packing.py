"""From a label image to the instances that mmdet's heads take.

H, W: image size in pixels; N: cells; K = 19.
"""

from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from hpa_mmdet.compat.cell_masks import cut_cells
from hpa_mmdet.localizations import multi_hot


@TRANSFORMS.register_module()
class PackCells(BaseTransform):
    """Make `inputs` (C, H, W) uint8 and a DetDataSample.

    `gt_instances` holds for each cell that is still in the picture its `bboxes` (N, 4),
    `labels` (0, a cell), `masks`, `localizations` (N, K), `cell_ids` and `reviewed` (N,). The metainfo
    holds `image_labels` (K,) of 0 and 1, `labels_are_exact` (they hold for each cell),
    `hpa_id`, `img_id`, the shapes and `cells_left_out`: how many cells of the JSON are hidden
    under others, cut off by a crop, or too small. Without `cell_label_image` (prediction)
    there are no instances.

    Args:
        min_side_px: cells whose box is narrower or lower are left out, as slivers are that
            a crop cut off.
        as_given: put the cells into `given_instances` too, so that the model names exactly
            these and looks for none.
    """

    def __init__(self, min_side_px: int = 4, as_given: bool = False) -> None:
        self.min_side_px, self.as_given = min_side_px, as_given

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack one image."""
        pixels = np.ascontiguousarray(results["img"])
        image = np.empty((pixels.shape[2], *pixels.shape[:2]), pixels.dtype)
        # six times as fast as numpy's transpose
        cv2.split(pixels, list(image))
        sample = DetDataSample(
            metainfo={
                "img_id": results.get("img_id", results["hpa_id"]),
                "hpa_id": results["hpa_id"],
                "ori_shape": results["ori_shape"],
                "img_shape": results["img_shape"],
                "scale_factor": (1.0, 1.0),
                "image_labels": multi_hot(results.get("image_labels", ())).astype(np.uint8),
                "labels_are_exact": results.get("labels_are_exact", False),
            }
        )
        if "cell_label_image" in results:
            sample.gt_instances = self._instances(results)
            left_out = len(results["cell_ids"]) - len(sample.gt_instances)
            sample.set_metainfo({"cells_left_out": left_out})
            if self.as_given:
                sample.given_instances = sample.gt_instances.clone()
        return {"inputs": torch.from_numpy(image), "data_samples": sample}

    def _instances(self, results: dict[str, Any]) -> InstanceData:
        values, boxes_xyxy, masks = cut_cells(results["cell_label_image"], self.min_side_px)
        rows = [value - 1 for value in values]
        return InstanceData(
            bboxes=HorizontalBoxes(boxes_xyxy),
            labels=torch.zeros(len(rows), dtype=torch.long),
            masks=masks,
            localizations=torch.from_numpy(results["cell_localizations"][rows]),
            cell_ids=torch.from_numpy(results["cell_ids"][rows]),
            reviewed=torch.from_numpy(results["cell_reviewed"][rows]),
        )
