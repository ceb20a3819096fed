"""Features of bench_head_input.py: each kind of input computed once, every level apart.

N: cells; B: images; C: channels of a map. A level is named by its stride.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hpa_mmdet.fit.feature_cache import FeatureCache, load_cache, save_cache
from hpa_mmdet.models.cell_pooling import (
    coverage_from_boxes,
    coverage_from_masks,
    pool_image,
    pool_maps_in_cells,
)
from hpa_mmdet.models.timm_features import TimmFeatures

CONFIG = Path(__file__).parents[1] / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"
GREEN, ALL = (1,), (0, 1, 2, 3)
CHANNELS = {2: 16, 4: 24, 8: 40, 16: 112, 32: 320}  # of EfficientNet-Lite0's levels; 2: the stem
POOLINGS = ("mask", "box")
PREFIX = "backbone."  # of the detector's backbone in a checkpoint


@dataclass(frozen=True)
class Source:
    """A network and what it sees.

    Args:
        name: of its files.
        channels: by position among red, green, blue, yellow.
        scale: of the picture it sees, over the stored one.
        weights: "lite0" (ImageNet), "random" or "detector" (from --checkpoint).
    """

    name: str
    channels: tuple[int, ...] = GREEN
    scale: float = 1.0
    weights: str = "lite0"


def columns(levels: Sequence[int], kinds: Sequence[str] = ("mean", "max")) -> Tensor:
    """Places of some levels' means and maxima in a feature vector that holds all levels."""
    chosen: list[Tensor] = []
    start = 0
    for stride, count in CHANNELS.items():
        for kind in ("mean", "max"):
            if stride in levels and kind in kinds:
                chosen.append(torch.arange(start, start + count))
            start += count
    return torch.cat(chosen)


def features(
    source: Source, split: str, data: Path, work_dir: Path, count: int, checkpoint: Path | None
) -> dict[str, FeatureCache]:
    """The caches of a source by pooling, from the work dir where they are there."""
    paths = {pooling: work_dir / f"{source.name}_{pooling}_{split}.npz" for pooling in POOLINGS}
    if not all(path.is_file() for path in paths.values()):
        start = time.process_time()
        found = _compute(_network(source, checkpoint), source.scale, _samples(data, split, count))
        seconds = (time.process_time() - start) / count
        for pooling, cache in found.items():
            save_cache(paths[pooling], cache)
        print(f"{source.name:24} {split:5} {seconds:.2f} s an image (process time)", flush=True)
    return {pooling: load_cache(path) for pooling, path in paths.items()}


def _network(source: Source, checkpoint: Path | None) -> TimmFeatures:
    torch.manual_seed(0)
    network = TimmFeatures(
        "tf_efficientnet_lite0",
        channels=source.channels,
        out_indices=tuple(range(len(CHANNELS))),
        weights="lite0" if source.weights == "lite0" else None,
        frozen=True,
        norm_eval=source.weights != "random",
    )
    network.init_weights()
    if source.weights == "detector":
        if checkpoint is None:
            raise SystemExit("bench_head_input: a row needs --checkpoint")
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
        own = {
            name.removeprefix(PREFIX): tensor
            for name, tensor in state.items()
            if name.startswith(PREFIX)
        }
        network.load_state_dict(own)
    return network.eval()


def _samples(data: Path, split: str, count: int) -> Iterator[tuple[Tensor, Any]]:
    """(C, H, W) pixels and mmdet's sample of the first images of a split."""
    from mmdet.registry import DATASETS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import hpa_mmdet.datasets  # noqa: F401

    init_default_scope("mmdet")
    dataset = Config.fromfile(CONFIG).fit_dataloader.dataset.to_dict()
    dataset |= {
        "ann_file": str(data / "truth" / split / "cells.json"),
        "data_prefix": {"img": str(data / split)},
        "indices": count,
    }
    for item in DATASETS.build(dataset):
        yield item["inputs"], item["data_samples"]


@torch.no_grad()
def _compute(
    network: TimmFeatures, scale: float, samples: Iterator[tuple[Tensor, Any]]
) -> dict[str, FeatureCache]:
    cells: dict[str, list[Tensor]] = {pooling: [] for pooling in POOLINGS}
    images: list[Tensor] = []
    labels: list[Tensor] = []
    targets: list[Tensor] = []
    for pixels, sample in samples:
        picture = ((pixels.float() - 127) / 128)[None]
        if scale < 1:
            picture = F.avg_pool2d(picture, round(1 / scale))
        elif scale > 1:
            picture = F.interpolate(picture, scale_factor=scale, mode="bilinear")
        height, width = picture.shape[-2:]
        padding = (0, -width % 64, 0, -height % 64)
        maps = [level[0] for level in network(F.pad(picture, padding, value=-127 / 128))]
        for pooling, of_pooling in cells.items():
            of_pooling.append(_pooled(maps, sample.gt_instances, scale, pooling))
        images.append(pool_image(maps))
        labels.append(torch.as_tensor(sample.image_labels))
        targets.append(torch.as_tensor(sample.gt_instances.localizations))
    counts = torch.tensor([len(masks) for masks in targets])
    rest = (counts, torch.stack(images), torch.stack(labels), torch.cat(targets))
    return {pooling: FeatureCache(torch.cat(found), *rest) for pooling, found in cells.items()}


def _pooled(maps: Sequence[Tensor], instances: Any, scale: float, pooling: str) -> Tensor:
    """(N, D) of one image; the stem's map has a coverage of its own, twice as fine."""
    parts: list[Tensor] = []
    for first, last, stride in ((0, 1, 2), (1, len(maps), 4)):
        shape_hw = (maps[first].shape[1], maps[first].shape[2])
        if pooling == "box":
            boxes = instances.bboxes.tensor * scale
            coverage = coverage_from_boxes(boxes, stride, shape_hw)
        else:
            masks = torch.from_numpy(instances.masks.masks)
            if scale > 1:
                masks = masks.repeat_interleave(round(scale), 1).repeat_interleave(round(scale), 2)
            coverage = coverage_from_masks(masks, round(stride / min(scale, 1)), shape_hw)
        parts.append(pool_maps_in_cells(maps[first:last], coverage))
    return torch.cat(parts, dim=1)
