"""What cleaning the masks of found cells is worth, each way on the same network's answers.

The network looks for the cells of each image once; each way then cleans them, and the network names
those that are left, as tools/infer.py does. Scores are those of tools/evaluate.py.

    python benchmarks/bench_mask_cleaning.py CONFIG CHECKPOINT IMAGES TRUTH [--device cpu] [--input-scale F]

Prints a JSON line for each way: the contest metric, average precision at IoU 0.6 and 0.75
ranked by p(cell), detections and those above p(cell) 0.5 per true cell, pieces per cell, and
milliseconds per image from the network's answer to the cleaned cells and their pixels.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hpa_mmdet.inference.cleaning import CLEANINGS
from hpa_mmdet.inference.plan import RunOptions, plan_run
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.stream import read_request
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
    requests = [read_request(image, predictor.channels) for image in planned]
    answers = [predictor.detect([predictor.prepare(request)])[0] for request in requests]
    for cleaning in CLEANINGS:
        maker = replace(predictor.view_maker, clean=cleaning)
        cleaned = []
        spent = 0.0
        for request, answer in zip(requests, answers, strict=True):
            started = time.process_time()
            found = maker.read(request, answer)
            spent += time.process_time() - started
            naming = [] if found.naming is None else predictor.detect([found.naming])[0]
            cleaned.append(maker.read_names(found, naming))
        row = {"clean": cleaning, **score(cleaned, truth)}
        print(json.dumps({**row, "ms": round(1e3 * spent / len(requests), 2)}), flush=True)


if __name__ == "__main__":
    main()
