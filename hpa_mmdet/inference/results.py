"""From complete predictions to the files that a user opens."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.outputs.annotated import write_anndata
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.inference.outputs.coco import write_coco_results
from hpa_mmdet.inference.outputs.gallery import write_gallery
from hpa_mmdet.inference.outputs.labels import write_labels
from hpa_mmdet.inference.outputs.pictures import draw_prediction, write_overlay
from hpa_mmdet.inference.outputs.submission import write_predictions
from hpa_mmdet.inference.outputs.table import write_table
from hpa_mmdet.inference.plan import RunOptions
from hpa_mmdet.inference.store import PredictionStore, StoredImage
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.large_images import open_channels


@dataclass(frozen=True)
class ResultContext:
    """What the outputs need beside the predictions.

    Args:
        images: folder of the channel files.
        channels: the model's.
        calls: what people are shown.
        options: of the run.
    """

    images: Path
    channels: Sequence[str]
    calls: Calls
    options: RunOptions


def write_results(store: PredictionStore, context: ResultContext) -> None:
    """Write the outputs that were asked for; each is replaced whole.

    Raises:
        InputError: an output cannot be made.
    """
    options, calls = context.options, context.calls
    out = options.out

    def predictions() -> Iterator[ImagePrediction]:
        return (stored.prediction for stored in store.read())

    writers: dict[str, Callable[[], Any]] = {
        "submission": lambda: write_predictions(
            out / "submission.csv", predictions(), options.min_confidence, options.max_triples
        ),
        "table": lambda: write_table(out, predictions(), calls),
        "coco": lambda: write_coco_results(out / "cells.json", predictions()),
        "labels": lambda: _write_per_image(store, context, "labels"),
        "overlays": lambda: _write_per_image(store, context, "overlays"),
        "gallery": lambda: write_gallery(
            out / "gallery.html", store.read(), context.images, context.channels, calls
        ),
        "anndata": lambda: write_anndata(out / "cells.h5ad", predictions(), calls),
    }
    for name in options.write:
        writers[name]()


def forget_other_pictures(options: RunOptions, calls: Calls) -> list[str]:
    """Delete label images and overlays that an earlier run drew by other calls.

    What was drawn by which calls is kept in predictions/drawn.json. Every shard may call
    this: those of one run have the same calls.

    Returns:
        What a user should know.
    """
    path = options.out / "predictions" / "drawn.json"
    drawn = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    now = {"thresholds": list(calls.thresholds), "cell_score": calls.cell_score}
    notes = []
    for kind in ("labels", "overlays"):
        if kind not in options.write or drawn.get(kind) == now:
            continue
        old = sorted((options.out / kind).glob("*.tif" if kind == "labels" else "*.png"))
        for each in old:
            each.unlink(missing_ok=True)
        if old:
            notes.append(f"{len(old)} {kind} of other thresholds are drawn anew")
        drawn[kind] = now
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(drawn), encoding="utf-8")
    return notes


def label_path(out: Path, image_id: str) -> Path:
    """Where the label image of a prediction goes."""
    return out / "labels" / f"{image_id}.tif"


def overlay_path(out: Path, image_id: str) -> Path:
    """Where the overlay of a prediction goes."""
    return out / "overlays" / f"{image_id}.png"


def _write_per_image(store: PredictionStore, context: ResultContext, kind: str) -> None:
    """Write the files that were not written while predicting, as on a changed --write."""
    place = label_path if kind == "labels" else overlay_path
    for stored in store.read():
        path = place(context.options.out, stored.prediction.image_id)
        if not stored.error and not path.is_file():
            if kind == "labels":
                write_labels(path, stored.prediction, context.calls)
            else:
                _write_overlay_again(path, stored, context)


def _write_overlay_again(path: Path, stored: StoredImage, context: ResultContext) -> None:
    try:
        image = open_channels(stored.image_files(context.images), context.channels)
    except InputError:
        return  # it was there when it was predicted, and its cells are in the other outputs
    picture = draw_prediction(image, context.channels, stored.prediction, context.calls)
    write_overlay(path, picture)
