"""The multi-label Mask R-CNN: finds cells, then names what each shows.

B: images of a batch; N: cells of an image; K = 19; C, H, W: channels and size in pixels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from hpa_mmdet.models.cell_pooling import (
    coverage_from_boxes,
    coverage_from_masks,
    coverage_from_probs,
)
from hpa_mmdet.models.localization_branch import LocalizationBranch


@MODELS.register_module()
class HpaMaskRCNN(TwoStageDetector):
    """Mask R-CNN (He et al. 2017) of class-agnostic cells with a localization branch.

    Args:
        localization: config of `LocalizationBranch`; None for a detector of cells alone.
        detect: False where cells are always given: their names are learnt, boxes and masks
            are not, and every sample to predict needs `given_instances`.
        kwargs: of mmdet's `TwoStageDetector`.

    Each predicted instance has `bboxes`, `scores` (p(cell)), `labels` (0), `mask_probs`
    and, with a branch, `localization_scores` and `image_activation` (N, K: the image head's
    answer inside each cell); each sample has `image_probs` (K,).
    A sample that carries `given_instances` (`bboxes`, `masks`) gets exactly those cells
    named, in their order, with a score of 1 and their own `masks`.
    """

    localization: LocalizationBranch | None

    def __init__(
        self, localization: dict[str, Any] | None = None, detect: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.detect = detect
        self.localization = MODELS.build(localization) if localization else None

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]
    ) -> dict[str, Tensor]:
        """Compute the losses of one step.

        Args:
            batch_inputs: (B, C, H, W) float.
            batch_data_samples: with `gt_instances` (`bboxes`, `labels`, `masks`, and
                `localizations` for losses that learn from single cells) and the metainfo
                `image_labels` (K,) of 0 and 1.

        Returns:
            mmdet's losses, and the branch's where it trains with the detector.
        """
        learns_names = self.localization is not None and self.localization.train_with_detector
        assert self.detect or learns_names, "nothing to learn: neither boxes nor names"
        shares_maps = learns_names and self.localization.backbone is None  # type: ignore[union-attr]
        maps = self.backbone(batch_inputs) if self.detect or shares_maps else ()
        losses = self._detector_loss(maps, batch_data_samples) if self.detect else {}
        if learns_names:
            losses.update(self._localization_loss(batch_inputs, maps, batch_data_samples))
        return losses

    def _detector_loss(
        self, maps: Sequence[Tensor], batch_data_samples: list[DetDataSample]
    ) -> dict[str, Tensor]:
        pyramid = self.neck(maps)
        losses, proposals = self.rpn_head.loss_and_predict(
            pyramid, batch_data_samples, proposal_cfg=self.train_cfg["rpn_proposal"]
        )
        losses = {name.replace("loss_", "loss_rpn_"): value for name, value in losses.items()}
        losses.update(self.roi_head.loss(pyramid, proposals, batch_data_samples))
        return losses

    def _localization_loss(
        self,
        batch_inputs: Tensor,
        maps: Sequence[Tensor],
        batch_data_samples: list[DetDataSample],
    ) -> dict[str, Tensor]:
        assert self.localization is not None
        instances = [each.gt_instances for each in batch_data_samples]
        cells, bag_index, images = self._describe(batch_inputs, maps, instances)
        labels = _image_labels(batch_data_samples, images.device)
        targets = _cell_targets(instances, images.device)
        exact = _exact(batch_data_samples, images.device)
        return self.localization.loss(cells, bag_index, images, labels, targets, exact)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], rescale: bool = True
    ) -> list[DetDataSample]:
        """Find and name the cells; see the class for what each sample then holds."""
        given = [each.get("given_instances") for each in batch_data_samples]
        assert self.detect or all(each is not None for each in given), "no cells are given"
        maps = self.backbone(batch_inputs) if self._needs_detector(given) else ()
        if all(each is not None for each in given):
            results = [_as_results(each) for each in given]
        else:
            results = self._find(maps, batch_data_samples)
        if self.localization is not None:
            own_maps = self.localization.maps(batch_inputs, maps)
            for number, (sample, instances) in enumerate(
                zip(batch_data_samples, results, strict=True)
            ):
                cells, image = self._describe_one([each[number] for each in own_maps], instances)
                scores, image_probs = self.localization.predict(cells, image)
                instances.localization_scores = scores
                instances.image_activation = self.localization.activation(cells)
                sample.image_probs = image_probs
        for sample, instances in zip(batch_data_samples, results, strict=True):
            if rescale and "given_instances" not in sample and "scale_factor" in sample:
                width, height = sample.scale_factor
                instances.bboxes /= instances.bboxes.new_tensor([width, height] * 2)
            sample.pred_instances = instances
        return batch_data_samples

    @torch.no_grad()
    def describe_cells(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample]
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Features of the annotated cells, for fitting the localization heads apart.

        Args:
            batch_inputs: (B, C, H, W) float.
            batch_data_samples: with `gt_instances` and `image_labels`.

        Returns:
            For each image its cells' (N, D) features; (B, D) features of the images; (B,
            K) image labels.
        """
        assert self.localization is not None, "the model has no localization branch"
        needs_maps = self.localization.backbone is None
        maps = self.backbone(batch_inputs) if needs_maps else ()
        instances = [each.gt_instances for each in batch_data_samples]
        cells, bag_index, images = self._describe(batch_inputs, maps, instances)
        counts = torch.bincount(bag_index, minlength=len(instances)).tolist()
        return list(cells.split(counts)), images, _image_labels(batch_data_samples, images.device)

    def _needs_detector(self, given: Sequence[InstanceData | None]) -> bool:
        shares_maps = self.localization is not None and self.localization.backbone is None
        return shares_maps or any(each is None for each in given)

    def _find(
        self, maps: Sequence[Tensor], batch_data_samples: list[DetDataSample]
    ) -> list[InstanceData]:
        pyramid = self.neck(maps)
        proposals = self.rpn_head.predict(pyramid, batch_data_samples, rescale=False)
        return list(self.roi_head.predict(pyramid, proposals, batch_data_samples, rescale=False))

    def _describe(
        self, batch_inputs: Tensor, maps: Sequence[Tensor], instances: Sequence[InstanceData]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N, D) cells of all images, (N,) the image of each, (B, D) images."""
        assert self.localization is not None
        own_maps = self.localization.maps(batch_inputs, maps)
        pairs = [
            self._describe_one([level[number] for level in own_maps], each)
            for number, each in enumerate(instances)
        ]
        counts = torch.tensor([len(cells) for cells, _ in pairs], device=batch_inputs.device)
        bag_index = torch.repeat_interleave(
            torch.arange(len(pairs), device=batch_inputs.device), counts
        )
        return (
            torch.cat([cells for cells, _ in pairs]),
            bag_index,
            torch.stack([image for _, image in pairs]),
        )

    def _describe_one(
        self, image_maps: Sequence[Tensor], instances: InstanceData
    ) -> tuple[Tensor, Tensor]:
        assert self.localization is not None
        source = self.localization.backbone or self.backbone
        stride, shape_hw = source.strides[0], (image_maps[0].shape[1], image_maps[0].shape[2])
        device = image_maps[0].device
        if self.localization.pooling == "box":
            boxes_xyxy = get_box_tensor(instances.bboxes).to(device)
            coverage = coverage_from_boxes(boxes_xyxy, stride, shape_hw)
        elif "mask_probs" in instances:
            coverage = coverage_from_probs(instances.mask_probs, instances.bboxes, stride, shape_hw)
        else:
            masks = torch.from_numpy(instances.masks.masks).to(device)
            coverage = coverage_from_masks(masks, stride, shape_hw)
        return self.localization.describe(image_maps, coverage)


def _image_labels(samples: Sequence[DetDataSample], device: torch.device) -> Tensor:
    return torch.stack([torch.as_tensor(each.image_labels) for each in samples]).to(device)


def _cell_targets(instances: Sequence[InstanceData], device: torch.device) -> Tensor | None:
    """(N, K) what the data set says of each cell, where it says so of all."""
    if not all("localizations" in each for each in instances):
        return None
    return torch.cat([torch.as_tensor(each.localizations) for each in instances]).to(device)


def _exact(samples: Sequence[DetDataSample], device: torch.device) -> Tensor | None:
    """(B,) bool, images whose labels hold for each cell; None without any (`SubstituteChannel`)."""
    marks = [bool(each.get("labels_are_exact", False)) for each in samples]
    return torch.tensor(marks, device=device) if any(marks) else None


def _as_results(given: InstanceData) -> InstanceData:
    boxes_xyxy = get_box_tensor(given.bboxes).clone()
    count, device = len(given), boxes_xyxy.device
    return InstanceData(
        bboxes=boxes_xyxy,
        masks=given.masks,
        scores=torch.ones(count, device=device),
        labels=torch.zeros(count, dtype=torch.long, device=device),
    )
