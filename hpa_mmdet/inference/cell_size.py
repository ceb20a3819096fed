"""Whether the cells of a run have the size at which the model learned.

A cell's diameter is that of the circle of its area. A model that is shown cells at another
size than in training cuts them into pieces or takes several for one.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpa_mmdet.inference.settings import InputSettings
from hpa_mmdet.io.json_files import read_json_object
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import ImagePrediction

_LARGEST_JSON = 64 * 2**20  # more takes longer to read than a hint is worth
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
        content = read_json_object(path, max_bytes=_LARGEST_JSON)
        scale_of = {
            image["id"]: settings.scale_of((image["height"], image["width"]))
            for image in content["images"]
        }
        diameters = [
            _diameter(annotation["area"]) * scale_of[annotation["image_id"]]
            for annotation in content["annotations"]
            if not annotation.get("touches_border")
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # it is a hint: training checks the file
    return float(np.median(diameters)) if diameters else None


def compare_sizes(
    predictions: Iterable[ImagePrediction],
    rules: CallRules,
    settings: InputSettings,
    trained_px: float,
) -> str | None:
    """Say if the called cells of some images have quite another size than those of training.

    Args:
        predictions: a few images.
        rules: which of their cells count; those at the border do not.
        settings: how large the network sees them.
        trained_px: median diameter in training, in pixels of the network's input.

    Returns:
        A line that proposes an --input-scale, or None.
    """
    diameters: list[float] = []
    scale = 1.0
    for prediction in predictions:
        scale = settings.scale_of(prediction.shape_hw)
        cells = (cell for _, cell in rules.cells(prediction))
        diameters += [_diameter(cell.area) for cell in cells if not cell.runs.touches_border]
    if len(diameters) < _FEWEST_CELLS:
        return None
    median = float(np.median(diameters))
    shown = median * scale
    if 1 / _STRONGLY < shown / trained_px < _STRONGLY:
        return None
    return (
        f"cells here are about {median:.0f} pixels across, {shown:.0f} as the network sees "
        f"them, and it learned on {trained_px:.0f}: --input-scale {trained_px / median:.2g} "
        "would show them as in training"
    )


def _diameter(area: float) -> float:
    return float(np.sqrt(4 * area / np.pi))
