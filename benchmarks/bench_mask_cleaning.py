"""What cleaning the masks of found cells is worth, each way on the same network's answers.

The images of a demo are predicted once for each way; scores are those of tools/evaluate.py.

    python benchmarks/bench_mask_cleaning.py CONFIG CHECKPOINT IMAGES TRUTH [--device cpu] [--input-scale F]

Prints a JSON line for each way: the contest metric, average precision at IoU 0.6 and 0.75
ranked by p(cell), detections and those above p(cell) 0.5 per true cell, pieces per cell, and
milliseconds per image of the cleaning alone.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.inference.cleaning import CLEANINGS, clean_cells
from hpa_mmdet.inference.plan import RunOptions, plan_run
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.stream import read_request
from hpa_mmdet.inference.views import ImageRequest
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.scoring.contest import ContestScorer
from hpa_mmdet.scoring.detection import DetectionCollector
from hpa_mmdet.scoring.detections import detections_of_cells
from hpa_mmdet.scoring.truth import read_truth


def score(predictions: list[ImagePrediction], truth: dict[str, Any]) -> dict[str, Any]:
    contest, detection = ContestScorer(0.6), DetectionCollector()
    cells = sure = pieces = 0
    for prediction in predictions:
        image = truth[prediction.image_id]
        rles = [cell.rle for cell in prediction.cells]
        contest.add(image, detections_of_cells(rles, prediction.class_scores))
        detection.add(image, rles, prediction.cell_scores)
        cells += len(image.rles)
        sure += int((prediction.cell_scores >= 0.5).sum())
        for cell in prediction.cells:
            pieces += cv2.connectedComponents(cell.runs.crop().astype(np.uint8), None, 4)[0] - 1
    found = detection.result((0.6, 0.75))
    count = sum(len(prediction.cells) for prediction in predictions)
    return {
        "contest_map": round(contest.result(tie_orders=0).contest_map, 4),
        "ap_60": round(found.ap[0.6], 4),
        "ap_75": round(found.ap[0.75], 4),
        "detections": count,
        "cells": cells,
        "sure_detections_per_cell": round(sure / cells, 3),
        "pieces_per_detection": round(pieces / max(count, 1), 3),
    }


def planes_of(
    request: ImageRequest, channels: tuple[str, ...]
) -> Callable[[], dict[str, NDArray[np.integer]]]:
    """What gives the channels of an image, by name."""
    image = request.image[:, :]
    return lambda: {name: image[..., at] for at, name in enumerate(channels)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("config", "checkpoint", "images", "truth"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--input-scale", type=float, help="as in tools/infer.py")
    args = parser.parse_args()
    predictor = Predictor(
        args.config,
        args.checkpoint,
        device=args.device,
        input_scale=args.input_scale,
        clean="none",
    )
    truth = read_truth(args.truth)
    planned = plan_run(args.images, predictor.channels, RunOptions(Path("unused"))).images
    found = []
    for image in planned:
        request = read_request(image, predictor.channels)
        found.append((predictor.predict([request])[0], planes_of(request, predictor.channels)))
    for cleaning in CLEANINGS:
        started = time.process_time()
        cleaned = [
            ImagePrediction(
                image.image_id,
                image.width,
                image.height,
                clean_cells(image.cells, cleaning, planes),
            )
            for image, planes in found
        ]
        spent = (time.process_time() - started) * 1e3 / len(found)
        print(json.dumps({"clean": cleaning, **score(cleaned, truth), "ms": round(spent, 2)}))


if __name__ == "__main__":
    main()
