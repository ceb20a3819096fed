"""A folder of predictions as tools/infer.py writes it, with its images."""

from pathlib import Path

import numpy as np
from PIL import Image
from serve_stand_in import THRESHOLDS, StandInFinder, cell_planes

from hpa_mmdet.inference.store import PredictionStore
from hpa_mmdet.inference.stored_images import StoredImage, line_of
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.serve.limits import ServerLimits
from hpa_mmdet.serve.review_cells import ReviewCells
from hpa_mmdet.serve.review_routes import ReviewRoutes
from hpa_mmdet.serve.review_store import ReviewStore

CALLS = CallRules(THRESHOLDS, 0.5)


def write_predictions_of_stand_in(folder: Path, images: int = 3) -> tuple[Path, Path]:
    """Images a0, a1, ... of 3, 4, ... cells; gives the folders of predictions and images."""
    picture_folder = folder / "images"
    picture_folder.mkdir(parents=True)
    stored = []
    for number in range(images):
        planes = cell_planes((150, 200), cells=3 + number)
        image_id = f"a{number}"
        for name, plane in planes.items():
            Image.fromarray(plane).save(picture_folder / f"{image_id}_{name}.png")
        cells = StandInFinder()(np.stack(list(planes.values()), axis=2))
        probs = np.max([cell.localization_scores for cell in cells], axis=0)
        prediction = ImagePrediction(image_id, 200, 150, tuple(cells), probs)
        stored.append(StoredImage(prediction, {c: f"{image_id}_{c}.png" for c in planes}))
    store = PredictionStore(folder / "out" / "predictions", {}, images)
    store.folder.mkdir(parents=True)
    store.begin(resume=False)
    if stored:
        store.write(0, [line_of(image) for image in stored])
    return folder / "out", picture_folder


def review_routes(folder: Path, table: Path, **options: object) -> ReviewRoutes:
    """The routes of a review of these predictions."""
    cells = ReviewCells(folder / "out", folder / "images", CALLS, options.pop("labels", None))
    return ReviewRoutes(cells, ReviewStore(table), THRESHOLDS, ServerLimits(), **options)
