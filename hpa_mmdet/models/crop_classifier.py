"""Names cells from crops: a network tuned on cells that were cut out, without a detector.

N: crops of a batch; B: images; C: channels; S: side of a crop in pixels; D: length of a
feature vector; K = 19 localizations.
"""

from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from hpa_mmdet.models.crop_pooling import pool_bags, pool_crops
from hpa_mmdet.models.crop_preprocessor import CropBatch


@MODELS.register_module()
class CropClassifier(BaseModel):
    """A backbone that sees one crop at a time, and the localization heads on its maps.

    Each crop's maps are pooled inside its cell, so the heads, the bag losses, the derived
    Negative and the evidence of the image are those of `LocalizationBranch`; an image is the
    bag of its cells.

    Args:
        backbone: config of a network with `out_channels` that gives maps, finest first:
            `TimmFeatures` or `SmallNetwork`; or one vector, as `SubCellEmbedder` does.
        localization: config of `LocalizationBranch`; its `feature_dim` follows from the
            backbone.
        data_preprocessor: config of `CropPreprocessor`.
        crops_at_once: how many crops go through the backbone together in prediction, which
            bounds the memory for images of many cells.
        init_cfg: mmengine's.

    In prediction each sample gets `pred_instances` with `scores` of 1, `labels` (0),
    `localization_scores` (N, K), and `image_probs` (K,); with a backbone that gives vectors
    also `embeddings` (N, D). For whole images with `given_instances` these are its cells in their order, with their boxes and
    masks; for bags of a store `cell_ids` says which they are.
    """

    detect = False
    """Cells are always given, as to an `HpaMaskRCNN` with `detect=False`."""

    def __init__(
        self,
        backbone: dict[str, Any],
        localization: dict[str, Any],
        data_preprocessor: dict[str, Any],
        crops_at_once: int = 32,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor), init_cfg)
        # twice as fast on a CPU as channels first
        self.backbone = MODELS.build(backbone).to(memory_format=torch.channels_last)
        self.crops_at_once = crops_at_once
        self.widths = tuple(self.backbone.out_channels)
        # a vector has no places in a cell that could be pooled
        self.gives_vectors = bool(getattr(self.backbone, "gives_vectors", False))
        self.feature_dim = sum(self.widths) * (1 if self.gives_vectors else 2)
        self.localization = MODELS.build({**localization, "feature_dim": self.feature_dim})

    def forward(
        self, inputs: CropBatch, data_samples: list[DetDataSample], mode: str = "tensor"
    ) -> Any:
        """Run the network.

        Args:
            inputs: the crops of all images of the batch.
            data_samples: one for each image; to learn from, with the metainfo `image_labels`
                (K,) and `gt_instances.localizations` (n, K).
            mode: "loss", "predict", or "tensor" for the features.

        Returns:
            The losses; the samples with their predictions; or (N, D) features of the crops
            and (B, D) of the images.
        """
        cells, images = self._describe(CropBatch(*inputs), len(data_samples))
        if mode == "tensor":
            return cells, images
        if mode == "predict":
            return self._predict(cells, images, inputs.bag_index, data_samples)
        labels = _image_labels(data_samples, cells.device)
        targets = [torch.as_tensor(sample.gt_instances.localizations) for sample in data_samples]
        marks = [bool(sample.get("labels_are_exact", False)) for sample in data_samples]
        return self.localization.loss(
            cells,
            inputs.bag_index,
            images,
            labels,
            torch.cat(targets).to(cells.device),
            torch.tensor(marks, device=cells.device) if any(marks) else None,
            _reviewed(data_samples, cells.device),
        )

    @torch.no_grad()
    def describe_cells(
        self, inputs: CropBatch, data_samples: list[DetDataSample]
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Features of the crops, for fitting the localization heads apart.

        Args:
            inputs: the crops of all images of the batch.
            data_samples: with `image_labels`.

        Returns:
            For each image its cells' (n, D) features; (B, D) features of the images; (B, K)
            image labels.
        """
        cells, images = self._describe(inputs, len(data_samples))
        counts = torch.bincount(inputs.bag_index, minlength=len(data_samples)).tolist()
        return list(cells.split(counts)), images, _image_labels(data_samples, images.device)

    def _describe(self, batch: CropBatch, num_bags: int) -> tuple[Tensor, Tensor]:
        """(N, D) features of the crops and (B, D) of the images."""
        count = max(len(batch.pixels), 1)
        size = count if torch.is_grad_enabled() else self.crops_at_once
        parts = zip(batch.pixels.split(size), batch.coverage.split(size), strict=True)
        cells = torch.cat([self._pool(*part) for part in parts])
        widths = () if self.gives_vectors else self.widths
        return cells, pool_bags(cells, batch.bag_index, num_bags, widths)

    def _pool(self, pixels: Tensor, coverage: Tensor) -> Tensor:
        if not len(pixels):
            return pixels.new_zeros(0, self.feature_dim)
        maps = self.backbone(pixels.contiguous(memory_format=torch.channels_last))
        return maps[0].flatten(1) if self.gives_vectors else pool_crops(maps, coverage)

    def _predict(
        self,
        cells: Tensor,
        images: Tensor,
        bag_index: Tensor,
        data_samples: list[DetDataSample],
    ) -> list[DetDataSample]:
        counts = torch.bincount(bag_index, minlength=len(data_samples)).tolist()
        for sample, features, image in zip(data_samples, cells.split(counts), images, strict=True):
            scores, sample.image_probs = self.localization.predict(features, image)
            found = InstanceData(
                scores=torch.ones(len(features), device=features.device),
                labels=torch.zeros(len(features), dtype=torch.long, device=features.device),
                localization_scores=scores,
            )
            if self.gives_vectors:
                found.embeddings = features
            if "given_instances" in sample:
                found.bboxes = get_box_tensor(sample.given_instances.bboxes).clone()
                found.masks = sample.given_instances.masks
            elif "cell_ids" in sample.get("gt_instances", {}):
                found.cell_ids = sample.gt_instances.cell_ids
            sample.pred_instances = found
        return data_samples


def _reviewed(samples: list[DetDataSample], device: torch.device) -> Tensor | None:
    known = [sample.gt_instances for sample in samples]
    marks = [torch.as_tensor(cells.get("reviewed", torch.zeros(len(cells)))) for cells in known]
    reviewed = torch.cat(marks).to(device, torch.bool)
    return reviewed if bool(reviewed.any()) else None


def _image_labels(samples: list[DetDataSample], device: torch.device) -> Tensor:
    return torch.stack([torch.as_tensor(sample.image_labels) for sample in samples]).to(device)
