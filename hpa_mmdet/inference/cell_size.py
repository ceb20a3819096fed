"""Whether the cells of some images have the size at which the model learned.

A cell's diameter is that of the circle of its area. A model that is shown cells at another
size than in training cuts them into pieces or takes several for one, so what it finds
says little: cells are measured on given masks, or by the watershed segmenter.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.settings import InputSettings
from hpa_mmdet.inference.views import ImageRequest
from hpa_mmdet.io.large_images import LargeImage
from hpa_mmdet.segment.watershed import WatershedSegmenter

_LARGEST_JSON = 64 * 2**20  # more takes longer to read than a hint is worth
_LARGEST_IMAGE = 16 * 2**20
_STRONGLY = 1.6
_FEWEST_CELLS = 5


def training_diameter_px(config: Mapping[str, Any], settings: InputSettings) -> float | None:
    """Measure the cells that the config trains on, in pixels of the network's input.

    Args:
        config: its `train_dataloader.dataset` names the COCO JSON.
        settings: how large its images are shown.

    Returns:
        The median; None where there is no such file here, or it is very large.
    """
    dataset = (config.get("train_dataloader") or {}).get("dataset") or {}
    while "dataset" in dataset:  # wrapped in others
        dataset = dataset["dataset"]
    if not isinstance(dataset.get("ann_file"), str):
        return None
    path = Path(dataset.get("data_root") or "") / dataset["ann_file"]
    try:
        if path.stat().st_size > _LARGEST_JSON:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        scale_of = {
            each["id"]: settings.scale_of((each["height"], each["width"]))
            for each in content["images"]
        }
        diameters = [
            _diameter(each["area"]) * scale_of[each["image_id"]]
            for each in content["annotations"]
            if not each.get("touches_border")
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it is a hint: training checks the file
    return float(np.median(diameters)) if diameters else None


def compare_sizes(
    requests: Iterable[ImageRequest], settings: InputSettings, trained_px: float
) -> str | None:
    """Say if the cells of some images have quite another size than those of training.

    Args:
        requests: a few images, with masks where cells are given.
        settings: how large the network sees them.
        trained_px: median diameter in training, in pixels of the network's input.

    Returns:
        A line that proposes an --input-scale, or None.
    """
    seen: list[float] = []
    scale = 1.0
    for request in requests:
        scale = settings.scale_of(request.shape_hw)
        seen += _diameters(request, settings.channels)
    if len(seen) < _FEWEST_CELLS:
        return None
    median = float(np.median(seen))
    shown = median * scale
    if 1 / _STRONGLY < shown / trained_px < _STRONGLY:
        return None
    return (
        f"cells here look about {median:.0f} pixels across, {shown:.0f} as the network sees "
        f"them, and it learned on {trained_px:.0f}: --input-scale {trained_px / median:.2g} "
        "would show them as in training"
    )


def _diameters(request: ImageRequest, channels: Sequence[str]) -> list[float]:
    """Those of the cells of one image that do not touch its border."""
    labels: NDArray[np.integer] | None = request.label_image
    if labels is None:
        if "blue" not in channels or request.shape_hw[0] * request.shape_hw[1] > _LARGEST_IMAGE:
            return []
        if isinstance(request.image, LargeImage):
            return []
        planes = {name: request.image[..., at] for at, name in enumerate(channels)}
        try:
            labels = WatershedSegmenter()(planes, request.image_id).cells
        except InputError:
            return []
    at_border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    ids, areas = np.unique(labels, return_counts=True)
    return [_diameter(area) for area in areas[(ids > 0) & ~np.isin(ids, at_border)]]


def _diameter(area: float) -> float:
    return float(np.sqrt(4 * area / np.pi))
