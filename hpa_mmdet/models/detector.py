"""The multi-label Mask R-CNN: finds cells, then names what each shows.

B: images of a batch; N: cells of an image; K = 19; C, H, W: channels and size in pixels.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor

from hpa_mmdet.compat.cell_masks import CellMasks
from hpa_mmdet.models.cell_pooling import (
    coverage_from_boxes,
    coverage_from_masks,
    coverage_from_probs,
    pool_image,
    pool_maps_in_cells,
)
from hpa_mmdet.models.localization_branch import LocalizationBranch

_CELLS_AT_ONCE = 16  # that are pooled together: 16 MB of coverage at 2048 pixels


@MODELS.register_module()
class HpaMaskRCNN(TwoStageDetector):
    """Mask R-CNN (He et al. 2017) of class-agnostic cells with a localization branch.

    Args:
        localization: config of `LocalizationBranch`; None for a detector of cells alone.
        detect: False where cells are always given: their names are learnt, boxes and masks
            are not, and every sample to predict needs `given_instances`.
        kwargs: of mmdet's `TwoStageDetector`.

    Each predicted instance has `bboxes`, `scores` (p(cell)), `labels` (0), `mask_probs`
    and, with a branch, `localization_scores` (N, K); the sample has `image_probs` (K,).
    A sample that carries `given_instances` (`bboxes`, `masks`) gets exactly those cells
    named, in their order, with a score of 1 and their own `masks`; the other samples of the
    same batch are searched for cells. Cells of a sample whose metainfo `name_cells` is False are
    only found.
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
        instances = [sample.gt_instances for sample in batch_data_samples]
        cells, bag_index, images = self._describe(batch_inputs, maps, instances)
        labels = _image_labels(batch_data_samples, images.device)
        targets = _cell_targets(instances, images.device)
        exact = _exact(batch_data_samples, images.device)
        reviewed = _reviewed(instances, images.device)
        return self.localization.loss(cells, bag_index, images, labels, targets, exact, reviewed)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[DetDataSample], rescale: bool = True
    ) -> list[DetDataSample]:
        """Find and name the cells; see the class for what each sample then holds."""
        given = [sample.get("given_instances") for sample in batch_data_samples]
        lacking = [number for number, cells in enumerate(given) if cells is None]
        assert self.detect or not lacking, "no cells are given"
        shares_maps = self.localization is not None and self.localization.backbone is None
        maps = self.backbone(batch_inputs) if lacking or shares_maps else ()
        found: Iterator[InstanceData] = iter(())
        if lacking:
            searched = [batch_data_samples[number] for number in lacking]
            found = iter(self._find([level[lacking] for level in maps], searched))
        results = [next(found) if cells is None else _as_results(cells) for cells in given]
        self._name(batch_inputs, maps, batch_data_samples, results)
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
        instances = [sample.gt_instances for sample in batch_data_samples]
        cells, bag_index, images = self._describe(batch_inputs, maps, instances)
        counts = torch.bincount(bag_index, minlength=len(instances)).tolist()
        return list(cells.split(counts)), images, _image_labels(batch_data_samples, images.device)

    def _find(
        self, maps: Sequence[Tensor], batch_data_samples: list[DetDataSample]
    ) -> list[InstanceData]:
        pyramid = self.neck(maps)
        proposals = self.rpn_head.predict(pyramid, batch_data_samples, rescale=False)
        return list(self.roi_head.predict(pyramid, proposals, batch_data_samples, rescale=False))

    def _name(
        self,
        batch_inputs: Tensor,
        maps: Sequence[Tensor],
        batch_data_samples: list[DetDataSample],
        results: Sequence[InstanceData],
    ) -> None:
        """Add `localization_scores` to the results, and `image_probs` to the samples."""
        asked = [
            number for number, sample in enumerate(batch_data_samples)
            if sample.get("name_cells", True)
        ]  # fmt: skip
        if self.localization is None or not asked:
            return
        own_maps = self.localization.maps(batch_inputs[asked], [level[asked] for level in maps])
        for place, number in enumerate(asked):
            of_image = [level[place] for level in own_maps]
            cells, image = self._describe_one(of_image, results[number])
            scores, image_probs = self.localization.predict(cells, image)
            results[number].localization_scores = scores
            batch_data_samples[number].image_probs = image_probs

    def _describe(
        self, batch_inputs: Tensor, maps: Sequence[Tensor], instances: Sequence[InstanceData]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(N, D) cells of all images, (N,) the image of each, (B, D) images."""
        assert self.localization is not None
        own_maps = self.localization.maps(batch_inputs, maps)
        pairs = [
            self._describe_one([level[number] for level in own_maps], cells)
            for number, cells in enumerate(instances)
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
        """Pool one image's maps in its cells, some at a time, and over the whole image."""
        parts = [
            pool_maps_in_cells(image_maps, self._coverage(image_maps[0], chosen))
            for chosen in _chunks(instances)
        ]
        return torch.cat(parts), pool_image(image_maps)

    def _coverage(self, finest: Tensor, instances: InstanceData) -> Tensor:
        """(N, h, w) what each cell covers of the finest map, (C, h, w)."""
        assert self.localization is not None
        source = self.localization.backbone or self.backbone
        stride, shape_hw = source.strides[0], (finest.shape[1], finest.shape[2])
        if self.localization.pooling == "box":
            boxes_xyxy = get_box_tensor(instances.bboxes).to(finest.device)
            return coverage_from_boxes(boxes_xyxy, stride, shape_hw)
        if "mask_probs" in instances:
            return coverage_from_probs(instances.mask_probs, instances.bboxes, stride, shape_hw)
        if isinstance(instances.masks, CellMasks):
            return instances.masks.sample(stride, shape_hw).to(finest.device)
        masks = torch.from_numpy(instances.masks.masks).to(finest.device)
        return coverage_from_masks(masks, stride, shape_hw)


def _chunks(instances: InstanceData) -> list[InstanceData]:
    """Part instances into groups of a few; one empty group where there are none."""
    starts = range(0, max(len(instances), 1), _CELLS_AT_ONCE)
    return [instances[start : start + _CELLS_AT_ONCE] for start in starts]


def _image_labels(samples: Sequence[DetDataSample], device: torch.device) -> Tensor:
    return torch.stack([torch.as_tensor(sample.image_labels) for sample in samples]).to(device)


def _cell_targets(instances: Sequence[InstanceData], device: torch.device) -> Tensor | None:
    """(N, K) what the data set says of each cell, where it says so of all."""
    if not all("localizations" in cells for cells in instances):
        return None
    return torch.cat([torch.as_tensor(cells.localizations) for cells in instances]).to(device)


def _exact(samples: Sequence[DetDataSample], device: torch.device) -> Tensor | None:
    """(B,) bool, images whose labels hold for each cell; None without any (`SubstituteChannel`)."""
    marks = [bool(sample.get("labels_are_exact", False)) for sample in samples]
    return torch.tensor(marks, device=device) if any(marks) else None


def _reviewed(instances: Sequence[InstanceData], device: torch.device) -> Tensor | None:
    """(N,) bool, cells whose labels a person gave; None without any."""
    marks = [torch.as_tensor(cells.get("reviewed", torch.zeros(len(cells)))) for cells in instances]
    reviewed = torch.cat(marks).to(device, torch.bool)
    return reviewed if bool(reviewed.any()) else None


def _as_results(given: InstanceData) -> InstanceData:
    boxes_xyxy = get_box_tensor(given.bboxes).clone()
    count, device = len(given), boxes_xyxy.device
    return InstanceData(
        bboxes=boxes_xyxy,
        masks=given.masks,
        scores=torch.ones(count, device=device),
        labels=torch.zeros(count, dtype=torch.long, device=device),
    )
