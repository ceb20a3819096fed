"""Predictions as COCO results: one entry per cell."""

import json
from collections.abc import Iterable
from pathlib import Path

from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.io.atomic import atomic_path


def write_coco_results(path: Path, predictions: Iterable[ImagePrediction]) -> int:
    """Write a JSON list as `COCO.loadRes` of pycocotools reads it.

    Each entry has `image_id` (the image's place in the order of ids, from 1, as
    tools/convert_coco.py numbers the same folder), `hpa_id`, `category_id` (the likeliest
    class, 1-based), `bbox` [x, y, w, h], `segmentation`, `score` (p(cell)), `cell_id`
    where the cell was given, and `localization_scores`, p(k | cell) of the 19 classes.

    Returns:
        How many cells were written.
    """
    count = 0
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as out:
        out.write("[")
        for number, prediction in enumerate(predictions, start=1):
            for cell in prediction.cells:
                entry = {
                    "image_id": number,
                    "hpa_id": prediction.image_id,
                    "category_id": int(cell.localization_scores.argmax()) + 1,
                    "bbox": list(cell.bbox_xywh),
                    "segmentation": prediction.rle(cell),
                    "score": cell.cell_score,
                    "cell_id": cell.cell_id,
                    "localization_scores": [
                        round(float(score), 6) for score in cell.localization_scores
                    ],
                }
                out.write(",\n" if count else "\n")
                out.write(json.dumps(entry, separators=(",", ":"), allow_nan=False))
                count += 1
        out.write("\n]\n")
    return count
