"""Data of bench_crop_classifier.py: stores of the images of bench_weak_labels.py, and scores.

N: cells; K = 19.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from hpa_mmdet.crops.extract import extract_crops
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.sources import SourceOptions
from hpa_mmdet.crops.store import HEADER, CropStore
from hpa_mmdet.datasets import CropBagDataset
from hpa_mmdet.inference.model_files import load_model
from hpa_mmdet.scoring.resampling import class_average_precisions, mean_of_known

CHANNELS = ("red", "green", "blue", "yellow", "mask")


@dataclass(frozen=True)
class Scored:
    """Scores of the cells of a store, in its order.

    Args:
        scores: (N, K).
        shown: (N, K) bool, what each cell shows.
        inherited: (N, K) bool, the labels of each cell's image.
    """

    scores: NDArray[np.float64]
    shown: NDArray[np.bool_]
    inherited: NDArray[np.bool_]

    def mean_ap(self) -> float:
        """Mean over the classes of average precision by what the cells show."""
        return mean_of_known(class_average_precisions(self.shown, self.scores)[0])

    def inherited_ap(self) -> float:
        """The same by the labels of the images, which weak training fits."""
        return mean_of_known(class_average_precisions(self.inherited, self.scores)[0])


def make_store(data: Path, split: str, size_px: int) -> Path:
    """Cut the cells of a split of synthetic data, once."""
    store = data / f"{split}_crops_{size_px}"
    if not (store / HEADER).is_file():
        source = SourceOptions(data / "truth" / split / "cells.json", images=data / split)
        extract_crops(source, store, CropOptions(channels=CHANNELS, size_px=size_px))
    return store


def predict_store(
    config: Path | Config, checkpoint: Path, store: Path, turns: bool = False
) -> Scored:
    """Name all cells of a store.

    Args:
        config: of the classifier.
        checkpoint: its weights.
        store: whose crops fit the config.
        turns: average over four turns.
    """
    model: Any = load_model(config, checkpoint).model
    dataset = CropBagDataset(str(store))
    scores = []
    with torch.inference_mode():
        for index in range(len(dataset)):
            item = dataset[index]
            pixels = item["inputs"]
            views = [pixels]
            if turns:
                views += [pixels.flip(1), pixels.flip(2), pixels.transpose(1, 2)]
            answers = []
            for view in views:
                batch = {"inputs": [view], "data_samples": [item["data_samples"].clone()]}
                (sample,) = model.test_step(batch)
                answers.append(sample.pred_instances.localization_scores)
            scores.append(torch.stack(answers).mean(0))
    return score_store(torch.cat(scores).double().numpy(), store)


def score_store(scores: NDArray[np.float64], store: Path) -> Scored:
    """Put scores beside the truth of a store."""
    known = CropStore(store)
    inherited = known.images.image_labels[known.cells.images] > 0
    return Scored(scores, known.cells.localizations > 0, inherited)
