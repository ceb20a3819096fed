"""Boxes and masks of one kind of object, a cell.

N: instances of an image; S: side of the mask head's output.
"""

from typing import Any

from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData
from torch import Tensor


@MODELS.register_module()
class CellRoIHead(StandardRoIHead):
    """mmdet's head, but masks are given as small probabilities and not pasted.

    Stock post-processing pastes each mask into a full-size picture, which costs more than
    the network. Here each instance carries `mask_probs`, (N, S, S) in 0..1 stretched over
    its box; who needs pixels pastes them inside the box.
    """

    def predict_mask(
        self,
        x: tuple[Tensor, ...],
        batch_img_metas: list[dict[str, Any]],
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Add `mask_probs` to each image's instances.

        Args:
            x: the pyramid's maps.
            batch_img_metas: unused; the parent's signature.
            results_list: instances with `bboxes` (N, 4) in network input pixels.
            rescale: must be False: boxes stay in input pixels until cells are named.
        """
        assert not rescale, "the detector rescales boxes after cells are named"
        counts = [len(instances) for instances in results_list]
        rois = bbox2roi([instances.bboxes for instances in results_list])
        if len(rois):
            probs = self._mask_forward(x, rois)["mask_preds"][:, 0].sigmoid()
        else:
            side = 2 * self.mask_roi_extractor.roi_layers[0].output_size[0]
            probs = x[0].new_zeros(0, side, side)
        for instances, mask_probs in zip(results_list, probs.split(counts), strict=True):
            instances.mask_probs = mask_probs
        return results_list
