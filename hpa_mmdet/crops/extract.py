"""A store of crops written: resumable, in shards, the same bytes each way."""

import csv
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpa_mmdet.coco.filters import DROPPED_COLUMNS
from hpa_mmdet.crops.chunks import Chunk, ChunkCutter, chunk_images
from hpa_mmdet.crops.index import CELL_SCHEMA, IMAGE_SCHEMA
from hpa_mmdet.crops.limits import CropLimits
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.pixel_file import read_pixel_lines
from hpa_mmdet.crops.sources import CropSource, SourceOptions, open_source
from hpa_mmdet.crops.store import CELLS, DROPPED, FORMAT, HEADER, IMAGES, REPORT, VERSION
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import remove_temporary_files
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.io.depth import measure_depth
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report
from hpa_mmdet.jobs.engines import map_in_order
from hpa_mmdet.jobs.fingerprint import fingerprint
from hpa_mmdet.jobs.parts import PartFolder
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.jobs.run import attempt
from hpa_mmdet.jobs.shards import Shard

_TOOL = "extract_crops"
_SAMPLED_IMAGES = 32
PIXELS, ENDING = "pixels-", ".npy"


def extract_crops(
    source: SourceOptions,
    out: Path,
    options: CropOptions,
    limits: CropLimits | None = None,
    *,
    workers: int = 1,
    engine: str = "local",
    shard: Shard | None = None,
    overwrite: bool = False,
) -> Report:
    """Cut all cells of a source and write the store `out`.

    A run that was killed goes on where it stopped. With `shard`, a part of the chunks is
    cut into `out` and no store is finished; once all are done, the same call without `shard`
    finds their work and finishes it. The bytes depend on sources and options alone.

    Args:
        source: the images and masks.
        out: the store's folder.
        options: how crops are cut.
        limits: which cells are left out; None drops empty ones alone.
        workers: processes of the local engine.
        engine: `local` or `ray`.
        shard: the part of the chunks to do; None for all.
        overwrite: replace an older store of this tool.

    Raises:
        InputError: a source cannot be read, `out` holds other things, or it cannot be
            written.
    """
    if engine == "ray":  # workers on other machines have other current folders
        source, out = _absolute(source), out.absolute()
    limits = limits or CropLimits()
    outputs = OutputFiles(
        _TOOL,
        inputs=[
            *(getattr(source, name) for name in _PLACES),
            source.groups and source.groups.table,
        ],
        overwrite=overwrite,
        fingerprint=fingerprint(source, options, limits),
        root=out,
    )
    _claim(out, outputs)
    open_source.cache_clear()  # its files may have changed since an earlier call
    opened = open_source(source)
    if not opened.ids:
        raise InputError(source.source, problem="holds no images", remedy="check the path")
    report = Report(_TOOL, notes=list(opened.notes))
    if options.white_level is None:
        depth = measure_depth(_sample(opened), options.image_channels)
        options = replace(options, white_level=depth.white_level)
        report.notes.append(depth.describe())
    # an older store of other crops is one until now, when nothing can be refused any more
    (out / HEADER).unlink(missing_ok=True)
    cutter = ChunkCutter(
        source, options, limits, PartFolder(out, _TOOL, name=PIXELS, ending=ENDING)
    )
    chunks = chunk_images(opened.ids)
    mine = chunks if shard is None else list(shard.take(chunks))
    _cut_chunks(cutter, mine, report, workers=workers, engine=engine)
    if shard is not None:
        report.notes.append(f"shard {shard.index} of {shard.count}: the store is not finished yet")
    elif report.done:
        _finish(cutter, chunks, opened.root, report, outputs)
    return report


def _sample(source: CropSource) -> list[ImageFiles]:
    """Give the files of some images, evenly spread; those that cannot be read fail later."""
    step = max(1, len(source.ids) // _SAMPLED_IMAGES)
    images = [attempt(source.image, place) for place in range(0, len(source.ids), step)]
    return [image.files for image in images if not isinstance(image, InputError)]


def _cut_chunks(
    cutter: ChunkCutter, chunks: Sequence[Chunk], report: Report, *, workers: int, engine: str
) -> None:
    """Cut the chunks that are not done yet, and fill the report."""
    summaries = map_in_order(cutter, chunks, workers=workers, engine=engine)
    with progress(_TOOL, sum(len(chunk.ids) for chunk in chunks)) as advance:
        for chunk, summary in zip(chunks, summaries, strict=True):
            if isinstance(summary, InputError):
                raise summary
            advance(len(chunk.ids))
            report.done += summary.done
            report.failures += summary.failures


def _claim(out: Path, outputs: OutputFiles) -> None:
    """Refuse a folder that is not ours to write to."""
    outputs.claim_folder(out)
    # the header comes last, so where it is there the earlier run was whole
    outputs.of_fingerprint("").claim(out / HEADER)
    for name in (CELLS, IMAGES, DROPPED, REPORT):
        outputs.claim(out / name)


def _finish(
    cutter: ChunkCutter,
    chunks: Sequence[Chunk],
    root: Path,
    report: Report,
    outputs: OutputFiles,
) -> None:
    """Join the chunks' lines to the tables; the header, which makes it a store, comes last."""
    out = cutter.parts.folder
    shards: dict[str, tuple[int, int]] = {}
    with ExitStack() as stack:
        tables = _Tables(stack, out, outputs)
        for chunk in chunks:
            path = cutter.parts.path_of(chunk.number)
            crops = tables.add(read_pixel_lines(path))
            if crops:
                shards[path.name] = (crops, path.stat().st_size)
    for path in out.glob(f"{PIXELS}*{ENDING}"):
        if path.name not in shards and outputs.owns(path):  # empty, or of an older store
            path.unlink()
    remove_temporary_files(out)  # of a run that was killed
    report.notes += tables.notes()
    report.write(out / REPORT, outputs)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "options": cutter.options.to_dict(),
        "images": tables.images,
        "crops": tables.crops,
        "shards": [[name, *counts] for name, counts in shards.items()],
        "source": Path(os.path.relpath(root.resolve(), out.resolve())).as_posix(),
    }
    with outputs.writing(out / HEADER) as temporary:
        temporary.write_text(json.dumps(header, indent=1), encoding="utf-8")


class _Tables:
    """The tables of a store, written chunk by chunk."""

    def __init__(self, stack: ExitStack, out: Path, outputs: OutputFiles) -> None:
        self.images = self.crops = self.clipped = 0
        self.dropped: Counter[str] = Counter()
        paths = [stack.enter_context(outputs.writing(out / name)) for name in (CELLS, IMAGES)]
        self._cells = stack.enter_context(pq.ParquetWriter(paths[0], CELL_SCHEMA))
        self._images = stack.enter_context(pq.ParquetWriter(paths[1], IMAGE_SCHEMA))
        path = stack.enter_context(outputs.writing(out / DROPPED))
        handle = stack.enter_context(path.open("w", newline="", encoding="utf-8"))
        self._dropped = csv.writer(handle, lineterminator="\n")
        self._dropped.writerow(DROPPED_COLUMNS)

    def add(self, lines: Sequence[dict[str, Any]]) -> int:
        """Write the rows of a chunk's images; give the number of its crops."""
        cells: list[dict[str, Any]] = []
        images: list[dict[str, Any]] = []
        for line in lines:
            place = {"first_crop": self.crops + len(cells), "crops": len(line["cells"])}
            cells += [{**cell, "image": self.images + len(images)} for cell in line["cells"]]
            images.append({**line["image"], **place})
            self._dropped.writerows(line["dropped"])
            self.dropped.update(reason for _, _, reason, _ in line["dropped"])
        self._cells.write_table(pa.Table.from_pylist(cells, schema=CELL_SCHEMA))
        self._images.write_table(pa.Table.from_pylist(images, schema=IMAGE_SCHEMA))
        self.crops, self.images = self.crops + len(cells), self.images + len(images)
        self.clipped += sum(cell["clipped"] for cell in cells)
        return len(cells)

    def notes(self) -> list[str]:
        """Say what the store holds and what it lacks."""
        notes = [f"{self.crops:,} crops of {self.images:,} images"]
        if self.clipped:
            notes.append(
                f"{self.clipped:,} cells are larger than their crop, which shows the middle"
            )
        for reason, count in sorted(self.dropped.items()):
            notes.append(f"{count:,} cells left out: {reason} ({DROPPED})")
        return notes


_PLACES = ("source", "images", "masks", "nuclei", "labels", "cell_labels")


def _absolute(source: SourceOptions) -> SourceOptions:
    places = {name: path.absolute() for name in _PLACES if (path := getattr(source, name))}
    groups = source.groups and source.groups._replace(table=source.groups.table.absolute())
    return replace(source, **places, groups=groups)
