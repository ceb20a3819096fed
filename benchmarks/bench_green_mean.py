"""How far brightness alone goes: each cell named from its mean green, against the model.

Run after `make demo`, on its files (synthetic images):

    python benchmarks/bench_green_mean.py work_dirs/demo

A cell's score for a class is the share of training cells of about the same mean green whose
image has it. Both get the true masks of the held-out images; the model's score is the one
that the demo wrote.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.io.channels import ImageFiles, read_channels
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.label_image import label_image_from_rles
from hpa_mmdet.scoring.contest import ContestScorer
from hpa_mmdet.scoring.detections import detections_of_cells
from hpa_mmdet.scoring.truth import read_truth

WIDTH = 0.1  # of the kernel, in natural logarithms of brightness


def green_means(image: CocoImage, folder: Path) -> NDArray[np.float64]:
    """(N,) log of each cell's mean green."""
    files = ImageFiles(image.hpa_id, {"green": folder / image.channel_files["green"]})
    green = read_channels(files, ["green"])[..., 0]
    label_image = label_image_from_rles([cell.counts for cell in image.cells], image.shape_hw)
    sums = np.bincount(label_image.ravel(), green.ravel(), len(image.cells) + 1)[1:]
    counts = np.bincount(label_image.ravel(), minlength=len(image.cells) + 1)[1:]
    return np.log1p(sums / np.maximum(counts, 1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="work_dirs/demo after `make demo`")
    demo = parser.parse_args().demo
    means: list[float] = []
    labels: list[NDArray[np.float64]] = []
    training = read_coco(demo / "data" / "train.json")
    for image in training.images:
        marked = np.zeros(NUM_LOCALIZATIONS)
        marked[list(image.image_labels)] = 1
        found = green_means(image, demo / "data" / "train").tolist()
        means += found
        labels += [marked] * len(found)
    known, shown = np.array(means), np.array(labels)

    path = demo / "data" / "truth" / "test" / "cells.json"
    truth = read_truth(path)
    scorer = ContestScorer()
    for image in read_coco(path).images:
        cells = green_means(image, demo / "data" / "test")
        near = np.exp(-(((cells[:, None] - known) / WIDTH) ** 2) / 2)
        scores = near @ shown / np.maximum(near.sum(1, keepdims=True), 1e-12)
        scorer.add(truth[image.hpa_id], detections_of_cells(truth[image.hpa_id].rles, scores))
    alone = scorer.result(tie_orders=0).contest_map
    model = json.loads((demo / "scores_given_masks.json").read_text())["contest_map"]
    print("contest metric on synthetic held-out images, true masks given to both")
    print(f"  mean green alone {alone:.3f}   model {model:.3f}   ratio {model / alone:.1f}")


if __name__ == "__main__":
    main()
