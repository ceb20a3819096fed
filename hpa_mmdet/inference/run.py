"""A folder of images to a folder of results: resumable, in shards, bad images kept apart."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cell_size import compare_sizes, training_diameter_px
from hpa_mmdet.inference.outputs import OUTPUTS, Output, RunContext
from hpa_mmdet.inference.plan import InferencePlan, PlannedImage, RunOptions, plan_run
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.store import CHUNK_IMAGES, MANIFEST, PredictionStore
from hpa_mmdet.inference.stream import ImageStream
from hpa_mmdet.io.depth import measure_depth
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.fingerprint import code_digest, fingerprint
from hpa_mmdet.jobs.parts import PartSummary
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.predictions.call_rules import CallRules, check_probability, check_thresholds

_REPORT = "infer_report.json"
_SIZED_IMAGES = 20


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
        InputError: nothing can be done with these arguments, or an output cannot be
            written.
    """
    check_options(options, predictor)
    plan = plan_run(images, predictor.channels, options)
    depth_note = choose_white_level(predictor, plan)
    rules = rules_of(predictor, options)
    manifest = manifest_of(predictor, plan, options)
    store = PredictionStore(options.out / "predictions", manifest, len(plan.images))
    resume = options.resume or options.shard.count > 1
    files = OutputFiles(
        "infer",
        inputs=[images, options.masks, options.sample_submission],
        overwrite=options.overwrite or (resume and (store.folder / MANIFEST).is_file()),
        # pictures drawn by other rules are drawn anew
        fingerprint=fingerprint(sorted(manifest.items()), rules.thresholds, rules.cell_score),
        root=options.out,
    )
    outputs = make_outputs(predictor, images, options, rules, files)
    report_path = options.out / _REPORT
    if options.shard.count > 1:
        report_path = options.shard.path_of(report_path)
    files.claim(report_path)
    for output in outputs:
        output.claim([image.image_id for image in plan.images])
    if options.overwrite:
        files.remove_owned()
        store.parts.remove()
    store.begin(resume=resume)
    report = Report("infer", notes=[*plan.notes, depth_note, rules.describe()])
    summaries = _predict_missing(ImageStream(predictor, images, outputs, options.workers),
                                 plan, store, options, report)  # fmt: skip
    report.notes += predictor.notes
    left = len(store.missing())
    if left:
        report.notes.append(
            f"{left} of {len(store.chunks)} chunks are still missing: run the other shards; "
            "the last one writes the results"
        )
    else:
        store.seal()
        for output in outputs:
            report.notes += output.finish(store.read)
        if options.shard.count > 1:
            everything = Report("infer", notes=list(report.notes))
            _count(everything, [store.summary_of(chunk) for chunk in store.chunks])
            everything.write(options.out / _REPORT, files)
    _count(report, summaries)
    report.notes += _notes_on_size(predictor, store, options.shard.take(store.chunks), rules)
    report.write(report_path, files)
    return report


def _predict_missing(
    stream: ImageStream,
    plan: InferencePlan,
    store: PredictionStore,
    options: RunOptions,
    report: Report,
) -> list[PartSummary]:
    """Predict the chunks of this shard that are not there; give the summaries of all."""
    shard = list(options.shard.take(store.chunks))
    found = {chunk: store.summary_of(chunk) for chunk in shard}
    summaries = {chunk: summary for chunk, summary in found.items() if summary is not None}
    if summaries:
        report.notes.append(f"{len(summaries)} of {len(shard)} chunks were there already")
    todo = [chunk for chunk in shard if chunk not in summaries]
    for chunk, lines in _predict(stream, plan, store, todo, options):
        summaries[chunk] = store.write(chunk, lines)
    return [summaries[chunk] for chunk in shard]


def choose_white_level(predictor: Predictor, plan: InferencePlan) -> str:
    """Choose how 16-bit files are read: as the option says, else as the folder shows.

    Returns:
        A line for the report.

    Raises:
        InputError: the model learned from 16-bit files of another range, so that either
            would be a guess.
    """
    given = predictor.arguments["white_level"]
    learned = predictor.loaded.settings.white_level
    readable = [image.files for image in plan.images if image.problem is None]
    depth = measure_depth(readable, predictor.channels)
    if not depth.images_16_bit:
        return depth.describe()
    if given is not None:
        return f"16-bit files are read with white level {given}, as --white-level says"
    if learned and learned > 255 and learned != depth.white_level:
        raise InputError(
            "--white-level",
            problem=f"16-bit files have values up to {depth.largest}, and the model learned from "
            f"files whose white level is {learned}",
            remedy=f"give --white-level {learned} if these images are just dark, or "
            f"--white-level {depth.white_level} if that is full brightness in them",
        )
    predictor.read_with_white_level(depth.white_level)
    return depth.describe()


def rules_of(predictor: Predictor, options: RunOptions) -> CallRules:
    """Choose the rules of calling: the options', else the model's."""
    rules = replace(predictor.loaded.rules, cell_score=options.call_score)
    if options.thresholds is None:
        return rules
    return replace(rules, thresholds=options.thresholds, source="given")


def make_outputs(
    predictor: Predictor, images: Path, options: RunOptions, rules: CallRules, files: OutputFiles
) -> list[Output]:
    """Make the outputs that were asked for."""
    context = RunContext(
        files,
        options.out,
        images,
        predictor.channels,
        rules,
        options.min_confidence,
    )
    return [OUTPUTS[name](context) for name in options.write]


def manifest_of(predictor: Predictor, plan: InferencePlan, options: RunOptions) -> dict[str, Any]:
    """Say what makes a run another run: a difference in any of it changes the answers."""
    return {
        "code": code_digest(__name__),
        "torch": torch.__version__,
        "model": fingerprint(json.dumps(predictor.loaded.config.get("model"), default=str)),
        "weights_sha256": predictor.loaded.weights_sha256,
        "inputs_sha256": plan.fingerprint(),
        "instances": "masks" if options.masks else "model",
        "amp": predictor.amp,
        "batch_size": predictor.batch_size,
        **predictor.view_maker.describe(),
    }


def check_options(options: RunOptions, predictor: Predictor) -> None:
    """Refuse options that cannot be followed, before anything is written.

    Raises:
        InputError: an unknown output, --overwrite with what forbids it, a number out of
            range, a wrong number of thresholds, or a missing extra package.
    """
    unknown = sorted(set(options.write) - set(OUTPUTS))
    if unknown or not options.write:
        raise InputError(
            "--write", ", ".join(unknown) or "nothing", ", ".join(OUTPUTS), "choose from these"
        )
    for name in options.write:
        OUTPUTS[name].check()
    predictor.check_given(options.masks is not None)
    if "embeddings" in options.write and not getattr(predictor.loaded.model, "gives_vectors", 0):
        raise InputError(
            "--write embeddings",
            problem="the model gives no vector for a cell",
            remedy="use a config of configs/embeddings",
        )
    if options.engine not in ENGINES:
        raise InputError("--engine", options.engine, ", ".join(ENGINES), "choose one of them")
    if options.overwrite and (options.resume or options.shard.count > 1):
        raise InputError(
            "--overwrite",
            problem="cannot be combined with --resume or --shard",
            remedy="run once with --overwrite alone, or choose another --out",
        )
    check_probability(options.min_confidence, "--min-confidence")
    check_probability(options.call_score, "--call-score")
    if predictor.batch_size > CHUNK_IMAGES:
        raise InputError(
            "--batch-size", predictor.batch_size, f"{CHUNK_IMAGES} at most", "make it smaller"
        )
    if options.thresholds is not None:
        check_thresholds(options.thresholds, "the run")


def _predict(
    stream: ImageStream,
    plan: InferencePlan,
    store: PredictionStore,
    chunks: list[int],
    options: RunOptions,
) -> Iterator[tuple[int, list[str]]]:
    """Give the lines of each chunk as they are done."""
    parts = [(chunk, plan.images[store.items(chunk)]) for chunk in chunks]
    if options.engine == "ray":
        from hpa_mmdet.inference.cluster import predict_chunks_on_ray

        results = predict_chunks_on_ray(stream, parts, options) if parts else iter(())
    else:
        results = _predict_here(stream, parts)
    with progress("infer", sum(len(images) for _, images in parts)) as advance:
        for chunk, lines in results:
            yield chunk, lines
            advance(len(lines))


def _predict_here(
    stream: ImageStream, parts: Sequence[tuple[int, Sequence[PlannedImage]]]
) -> Iterator[tuple[int, list[str]]]:
    images = [image for _, of_chunk in parts for image in of_chunk]
    lines = stream.lines(images, stream.predictor.batch_size)
    for chunk, of_chunk in parts:
        yield chunk, [next(lines) for _ in of_chunk]


def _notes_on_size(
    predictor: Predictor, store: PredictionStore, chunks: Sequence[int], rules: CallRules
) -> list[str]:
    """Compare the cells of the first images with those of training, where their size is known."""
    loaded = predictor.loaded
    trained = loaded.cell_diameter_px or training_diameter_px(loaded.config, loaded.settings)
    if trained is None:
        return []
    first = (stored.prediction for stored in islice(store.read(chunks), _SIZED_IMAGES))
    note = compare_sizes(first, rules, predictor.view_maker.settings, trained)
    return [] if note is None else [note]


def _count(report: Report, summaries: Sequence[PartSummary | None]) -> None:
    """Fill the report from the chunks, so that a resumed run tells the whole."""
    blank = 0
    for summary in summaries:
        if summary is not None:
            report.done += summary.done
            report.failures += summary.failures
            blank += len(summary.notes)
    if blank:
        report.notes.append(f"{blank} images had detections without a pixel, which were left out")
