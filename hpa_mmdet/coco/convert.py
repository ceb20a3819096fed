"""Cell masks and labels to a COCO JSON: resumable, in shards, the same bytes each way."""

import csv
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.coco.convert_image import (
    ANNOTATED,
    ANNOTATION,
    DROPPED,
    IMAGE,
    TaggedLine,
    convert_image,
    files_of,
)
from hpa_mmdet.coco.filters import DROPPED_COLUMNS
from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.coco.plan import ImageTask, Sources, plan_conversion
from hpa_mmdet.coco.schema import build_info
from hpa_mmdet.coco.writer import open_writer
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.jobs import Report
from hpa_mmdet.jobs.parts import PartJob, read_lines, run_parts
from hpa_mmdet.jobs.shards import Shard

REPORT_ENDING = ".report.json"


def convert(
    sources: Sources,
    out: Path,
    options: ConvertOptions | None = None,
    *,
    workers: int = 1,
    engine: str = "local",
    shard: Shard | None = None,
    overwrite: bool = False,
) -> Report:
    """Write `out`, its report beside it, and what else the options ask for.

    An image that cannot be converted is listed in the report and left out; nothing is
    written where none can be. A run that was killed goes on where it stopped. The bytes
    depend on sources and options alone; those of a shard, once merged, too.

    Args:
        sources: folders and tables.
        out: the JSON. Nuclei go to `<stem>_nuclei.json`, cytoplasm to
            `<stem>_cytoplasm.json`, what filters left out to `<stem>_dropped.csv`, the
            report to `<name>.report.json`; a shard's files are `<stem>.shard-i-of-n.json`
            and so on, and are written even where all of its images failed.
        options: how; None for the defaults.
        workers: processes of the local engine.
        engine: `local` or `ray`.
        shard: the part of the images to do; None for all.
        overwrite: replace an older `out`.

    Raises:
        InputError: a source cannot be read, `out` exists and `overwrite` is not set, or it
            cannot be written.
    """
    options = options or ConvertOptions()
    if engine == "ray":  # workers on other machines have other current folders
        sources, out = sources.absolute(), out.absolute()
    files = ConversionFiles(out, shard)
    out = files.of("cells")
    if out.exists() and not overwrite:
        raise InputError(out, "an older file", "a new path", "give --overwrite to replace it")
    plan = plan_conversion(sources, options)
    report = Report("convert_coco", failures=plan.failures, notes=plan.notes)
    tasks = plan.tasks if shard is None else shard.take(plan.tasks)
    job = PartJob(
        partial(convert_image, sources=sources, options=options),
        _hpa_id,
        files_of,
        out.with_name(f"{out.name}.parts"),
        repr((sources, options)),
    )
    parts = run_parts(job, tasks, report, workers=workers, engine=engine)
    if report.done or shard is not None or not tasks:
        _assemble(parts, sources, files, options, report)
        report.write(report_path(out))
    shutil.rmtree(job.folder, ignore_errors=True)
    return report


def report_path(out: Path) -> Path:
    """Name the report of a JSON."""
    return out.with_name(out.name + REPORT_ENDING)


class ConversionFiles(NamedTuple):
    """Names of the files of one conversion, or of one shard of it.

    Examples:
        >>> ConversionFiles(Path("train.json"), None).of("nuclei").name
        'train_nuclei.json'
    """

    out: Path
    shard: Shard | None

    def of(self, annotated: str) -> Path:
        """Name the JSON of one set."""
        return self._named("" if annotated == "cells" else f"_{annotated}", self.out.suffix)

    @property
    def dropped(self) -> Path:
        """The table of what filters left out."""
        return self._named("_dropped", ".csv")

    def _named(self, ending: str, suffix: str) -> Path:
        path = self.out.with_name(self.out.stem + ending + suffix)
        return path if self.shard is None else self.shard.path_of(path)


def _hpa_id(task: ImageTask) -> str:
    return task.hpa_id


def _assemble(
    parts: Sequence[Path],
    sources: Sources,
    files: ConversionFiles,
    options: ConvertOptions,
    report: Report,
) -> None:
    """Join the parts to the files that the user wants; the JSON of cells comes last."""
    _write_dropped(parts, files.dropped, report)
    written = {"cells": True, "nuclei": sources.nuclei is not None, "cytoplasm": options.cytoplasm}
    for annotated in reversed(ANNOTATED):
        if not written[annotated]:
            continue
        path = files.of(annotated)
        with open_writer(path, build_info(sources.images, path, annotated)) as writer:
            for text in read_lines(parts):
                line = TaggedLine.from_text(text)
                if line.annotated == annotated and line.kind == IMAGE:
                    writer.add_image(line.text)
                elif line.annotated == annotated and line.kind == ANNOTATION:
                    writer.add_annotation(line.text)
        report.notes.append(
            f"{path.name}: {writer.image_count} images, {writer.annotation_count} annotations"
        )


def _write_dropped(parts: Sequence[Path], path: Path, report: Report) -> None:
    count = 0
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as handle,
    ):
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(DROPPED_COLUMNS)
        for text in read_lines(parts):
            line = TaggedLine.from_text(text)
            if line.kind == DROPPED:
                table.writerow(json.loads(line.text))
                count += 1
    if count:
        report.notes.append(
            f"{count} cells or images left out, each with its reason in {path.name}"
        )
    else:
        path.unlink()
