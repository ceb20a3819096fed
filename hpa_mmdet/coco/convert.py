"""Cell masks and labels to a COCO JSON: resumable, in shards, the same bytes each way."""

import json
from collections.abc import Sequence
from dataclasses import fields
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
from hpa_mmdet.coco.plan import ImageTask, Sources, describe_plan, plan_conversion
from hpa_mmdet.coco.schema import Json, build_info
from hpa_mmdet.coco.writer import open_writer
from hpa_mmdet.io.atomic import write_csv
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report
from hpa_mmdet.jobs.fingerprint import fingerprint
from hpa_mmdet.jobs.parts import PartFolder, PartJob, read_lines, run_parts
from hpa_mmdet.jobs.shards import Shard

_TOOL = "convert_coco"
REPORT_ENDING = ".report.json"
PLAN_KEY = "plan"
"""Key of a shard's `info`: what was to be converted and how, which all shards must share."""


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
        overwrite: replace what an earlier conversion wrote.

    Raises:
        InputError: a source cannot be read, an output cannot be written, or a file is in its
            place that may not be replaced (`io.outputs`).
    """
    options = options or ConvertOptions()
    if engine == "ray":  # workers on other machines have other current folders
        sources, out = sources.absolute(), out.absolute()
    plan = plan_conversion(sources, options)
    terms = describe_plan(plan, sources, options)
    files = ConversionFiles(out, shard)
    outputs = _claim(files, sources, options, fingerprint(terms), overwrite=overwrite)
    out = files.of("cells")
    report = Report("convert_coco", failures=plan.failures, notes=plan.notes)
    tasks = plan.tasks if shard is None else shard.take(plan.tasks)
    job = PartJob(
        partial(convert_image, sources=sources, options=options),
        _hpa_id,
        files_of,
        PartFolder(out.with_name(f"{out.name}.parts"), _TOOL),
        (sources, options),
    )
    parts = run_parts(job, tasks, report, workers=workers, engine=engine)
    if report.done or shard is not None or not tasks:
        info = {} if shard is None else {PLAN_KEY: terms}
        _assemble(parts, sources, files, options, report, outputs, info)
        report.write(report_path(out), outputs)
    job.parts.remove()
    return report


def _claim(
    files: "ConversionFiles",
    sources: Sources,
    options: ConvertOptions,
    mark: str,
    *,
    overwrite: bool,
) -> OutputFiles:
    """See that all files may be written, before the work begins."""
    given = [getattr(sources, source.name) for source in fields(sources)]
    outputs = OutputFiles(_TOOL, inputs=given, overwrite=overwrite, fingerprint=mark)
    # the cells' file comes last, so where it is there the earlier run was whole
    outputs.of_fingerprint("").claim(files.of("cells"))
    for annotated in files.annotated(sources, options)[:-1]:
        outputs.claim(files.of(annotated))
    outputs.claim(files.dropped)
    outputs.claim(report_path(files.of("cells")))
    return outputs


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

    @staticmethod
    def annotated(sources: Sources, options: ConvertOptions) -> list[str]:
        """List the sets that are written, the cells last."""
        written = {
            "cells": True,
            "nuclei": sources.nuclei is not None,
            "cytoplasm": options.cytoplasm,
        }
        return [annotated for annotated in reversed(ANNOTATED) if written[annotated]]

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
    outputs: OutputFiles,
    extra_info: Json,
) -> None:
    """Join the parts to the files that the user wants; the JSON of cells comes last."""
    _write_dropped(parts, files.dropped, report, outputs)
    for annotated in files.annotated(sources, options):
        path = files.of(annotated)
        info = build_info(sources.images, path, annotated) | extra_info
        with outputs.writing(path) as temporary, open_writer(temporary, info) as writer:
            for text in read_lines(parts):
                line = TaggedLine.from_text(text)
                if line.annotated == annotated and line.kind == IMAGE:
                    writer.add_image(line.text)
                elif line.annotated == annotated and line.kind == ANNOTATION:
                    writer.add_annotation(line.text)
        report.notes.append(f"{path.name}: {writer.describe()}")


def _write_dropped(parts: Sequence[Path], path: Path, report: Report, outputs: OutputFiles) -> None:
    lines = (TaggedLine.from_text(text) for text in read_lines(parts))
    rows = [json.loads(line.text) for line in lines if line.kind == DROPPED]
    if not rows:
        if outputs.owns(path):  # of an earlier run that is now replaced
            path.unlink()
        return
    with outputs.writing(path) as temporary:
        write_csv(temporary, DROPPED_COLUMNS, rows)
    report.notes.append(
        f"{len(rows)} cells or images left out, each with its reason in {path.name}"
    )
