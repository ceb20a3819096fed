"""A folder of images to a folder of results: resumable, in shards, bad images kept apart."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

import hpa_mmdet
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cell_size import compare_sizes, training_diameter_px
from hpa_mmdet.inference.outputs.annotated import require_anndata
from hpa_mmdet.inference.plan import WRITERS, Item, Plan, RunOptions, plan_run
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.results import ResultContext, forget_other_pictures, write_results
from hpa_mmdet.inference.store import PredictionStore
from hpa_mmdet.inference.thresholds import checked
from hpa_mmdet.inference.views import ImageRequest
from hpa_mmdet.inference.work import Worker, read_item
from hpa_mmdet.jobs import Failure, Report
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.jobs.run import attempt

_LOG = logging.getLogger(__name__)
_SIZED_IMAGES = 2


def run_inference(predictor: Predictor, images: Path, options: RunOptions) -> Report:
    """Predict the images of a folder and write what is asked for.

    Args:
        predictor: the model and how it is used.
        images: folder of channel files.
        options: of the run.

    Returns:
        What was done, by this run and by those that it goes on with. Where other shards
        are still missing a note says so, and the outputs over all images are left to the
        run that completes them.

    Raises:
        InputError: nothing can be done with these arguments; nothing was written.
    """
    check_options(options, predictor)
    plan = plan_run(images, predictor.channels, options)
    store = PredictionStore(options.out / "predictions", len(plan.items))
    store.begin(
        manifest_of(predictor, plan, options),
        resume=options.resume or options.shard.count > 1,
        overwrite=options.overwrite,
    )
    report = Report("infer", notes=list(plan.notes))
    shard = list(options.shard.take(store.chunks))
    missing = set(store.missing())
    todo = [chunk for chunk in shard if chunk in missing]
    if len(todo) < len(shard):
        report.notes.append(f"{len(shard) - len(todo)} of {len(shard)} chunks were there already")
    worker = Worker(images, predictor, options)
    report.notes.append(worker.thresholds.said())
    report.notes += forget_other_pictures(options, worker.calls)
    if todo:
        report.notes += _notes_on_size(worker, plan)
    _predict(worker, plan, store, todo)
    report.notes += predictor.notes
    _count(report, store, shard)
    left = len(store.missing())
    if left:
        report.notes.append(
            f"{left} of {len(store.chunks)} chunks are still missing: run the other shards; "
            "the last one writes the results"
        )
        return report
    store.seal()
    write_results(store, ResultContext(images, predictor.channels, worker.calls, options))
    return report


def manifest_of(predictor: Predictor, plan: Plan, options: RunOptions) -> dict[str, Any]:
    """Say what makes a run another run: a difference in any of it changes the answers."""
    framing = predictor.framing
    model = json.dumps(predictor.loaded.config.get("model"), sort_keys=True, default=str)
    return {
        "version": hpa_mmdet.__version__,
        "torch": torch.__version__,
        "model_sha256": hashlib.sha256(model.encode()).hexdigest(),
        "weights_sha256": predictor.loaded.weights_sha256,
        "inputs_sha256": plan.fingerprint(),
        "channels": list(predictor.channels),
        "instances": "masks" if options.masks else "model",
        "turns": len(framing.turns),
        "input_scale": framing.settings.scale,
        "longest_side_px": framing.settings.longest_side_px,
        "tile_px": framing.tile_px,
        "overlap_px": framing.overlap_px if framing.tile_px else None,
        "amp": predictor.amp,
        "batch_size": predictor.batch_size,
        "min_cell_score": predictor.min_cell_score,
    }


def check_options(options: RunOptions, predictor: Predictor) -> None:
    """Refuse options that cannot be followed, before anything is written.

    Raises:
        InputError: an unknown output, --overwrite with what forbids it, a wrong number of
            thresholds, or a missing extra package.
    """
    unknown = sorted(set(options.write) - set(WRITERS))
    if unknown or not options.write:
        raise InputError(
            "--write", ", ".join(unknown) or "nothing", ", ".join(WRITERS), "choose from these"
        )
    if "anndata" in options.write:
        require_anndata()
    if options.engine not in ENGINES:
        raise InputError("--engine", options.engine, ", ".join(ENGINES), "choose one of them")
    if options.overwrite and (options.resume or options.shard.count > 1):
        raise InputError(
            "--overwrite", "it with --resume or --shard", "it alone", "remove the folder by hand"
        )
    if options.thresholds is not None:
        checked(options.thresholds, "the run")


def _predict(worker: Worker, plan: Plan, store: PredictionStore, chunks: list[int]) -> None:
    parts = [(chunk, plan.items[store.items(chunk)]) for chunk in chunks]
    if worker.options.engine == "ray":
        from hpa_mmdet.inference.cluster import predict_chunks_on_ray

        results = predict_chunks_on_ray(worker, parts) if parts else iter(())
    else:
        results = _predict_here(worker, parts)
    with progress("infer", sum(len(items) for _, items in parts)) as advance:
        for chunk, lines in results:
            store.write(chunk, lines)
            advance(len(lines))


def _predict_here(
    worker: Worker, parts: Sequence[tuple[int, Sequence[Item]]]
) -> Iterator[tuple[int, list[str]]]:
    items = [item for _, of_chunk in parts for item in of_chunk]
    lines = worker.lines(items, worker.predictor.batch_size)
    for chunk, of_chunk in parts:
        yield chunk, [next(lines) for _ in of_chunk]


def _notes_on_size(worker: Worker, plan: Plan) -> list[str]:
    """Look at the first images that can be read."""
    loaded, settings = worker.predictor.loaded, worker.predictor.framing.settings
    trained = loaded.cell_diameter_px or training_diameter_px(loaded.config, loaded.settings)
    if trained is None:
        return []
    requests = (
        attempt(lambda each: read_item(each, settings.channels), item) for item in plan.items
    )
    good = islice((each for each in requests if isinstance(each, ImageRequest)), _SIZED_IMAGES)
    note = compare_sizes(good, settings, trained)
    if note is None:
        return []
    _LOG.warning(note)
    return [note]


def _count(report: Report, store: PredictionStore, chunks: list[int]) -> None:
    """Fill the report from what is on disk, so that a resumed run tells the whole."""
    noted = 0
    for stored in store.read(chunks):
        noted += bool(stored.prediction.notes)
        if stored.error:
            report.failures.append(Failure(stored.prediction.image_id, stored.error))
        else:
            report.done += 1
    if noted:
        report.notes.append(f"{noted} images had detections without a pixel, which were left out")
