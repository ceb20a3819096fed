"""Data of bench_crop_classifier.py: stores of the images of bench_weak_labels.py, and scores.

N: cells; K = 19.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpa_mmdet.compat.fused_norms import fuse_for_prediction
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
        # the rows learn from image labels, so the truth of the cells is not taken for a review
        known = (data / "truth" / split / "cells.json").read_text(encoding="utf-8")
        plain = data / "truth" / split / "not_reviewed.json"
        plain.write_text(known.replace('"reviewed":true,', ""), encoding="utf-8")
        source = SourceOptions(plain, images=data / split)
        extract_crops(source, store, CropOptions(channels=CHANNELS, size_px=size_px))
    return store


def predict_store(config: Path, checkpoint: Path, store: Path, turns: bool = False) -> Scored:
    """Name all cells of a store; see `predict_cells`."""
    model = load_model(config, checkpoint).model
    fuse_for_prediction(model)
    return score_store(predict_cells(model, CropBagDataset(str(store)), turns), store)


def predict_cells(model: Any, dataset: CropBagDataset, turns: bool = False) -> NDArray[np.float64]:
    """Name all cells of a data set.

    Args:
        model: a `CropClassifier`.
        dataset: of bags whose crops fit it.
        turns: average over four turns.

    Returns:
        (N, K) scores.
    """
    scores = []
    with torch.inference_mode():
        for index in range(len(dataset)):
            item = dataset[index]
            views = [item["inputs"]]
            if turns:
                views += [views[0].flip(1), views[0].flip(2), views[0].transpose(1, 2)]
            answers = []
            for view in views:
                batch = {"inputs": [view], "data_samples": [item["data_samples"].clone()]}
                (sample,) = model.test_step(batch)
                answers.append(sample.pred_instances.localization_scores)
            scores.append(torch.stack(answers).mean(0))
    return torch.cat(scores).double().numpy()


def score_store(scores: NDArray[np.float64], store: Path) -> Scored:
    """Put scores beside the truth of a store."""
    known = CropStore(store)
    inherited = known.images.image_labels[known.cells.images] > 0
    return Scored(scores, known.cells.localizations > 0, inherited)
