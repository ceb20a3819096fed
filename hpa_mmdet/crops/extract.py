"""A store of crops written: resumable, in shards, the same bytes each way."""

import csv
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpa_mmdet.coco.filters import DROPPED_COLUMNS
from hpa_mmdet.crops.chunks import Chunk, ChunkCutter, chunk_images
from hpa_mmdet.crops.index import CELL_SCHEMA, IMAGE_SCHEMA
from hpa_mmdet.crops.limits import CropLimits
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.sources import SourceOptions, open_source
from hpa_mmdet.crops.store import CELLS, DROPPED, FORMAT, HEADER, IMAGES, REPORT, VERSION
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Failure, Report
from hpa_mmdet.jobs.parts import PartJob, read_lines, run_parts
from hpa_mmdet.jobs.shards import Shard

TOOL = "extract_crops"
PARTS = "parts"


@dataclass(frozen=True)
class _ChunkJob(PartJob[Chunk]):
    """Parts that are named by the chunk's place in the whole run, not in its shard."""

    first: int = 0

    def path_of(self, index: int) -> Path:
        return super().path_of(self.first + index)

    def __call__(self, part: tuple[int, Sequence[Chunk]]) -> Any:
        summary = super().__call__(part)
        path = self.path_of(part[0])
        if isinstance(summary, InputError) or not (stop := _stop_of(path)):
            return summary
        path.unlink()  # so that it is done again
        return InputError(
            self.folder.parent,
            problem=f"a file of pixels could not be written ({stop})",
            remedy="mend that and run the same command again, which goes on with its work",
        )


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
    fingerprint = hashlib.sha256(repr((source, options, limits)).encode()).hexdigest()
    outputs = OutputFiles(
        TOOL, inputs=_inputs(source), overwrite=overwrite, fingerprint=fingerprint, root=out
    )
    outputs.claim_folder(out)
    _claim(out, outputs, overwrite)
    open_source.cache_clear()  # its files may have changed since an earlier call
    opened = open_source(source)
    if not opened.ids:
        raise InputError(source.source, problem="holds no images", remedy="check the path")
    cutter = ChunkCutter(source, options, limits, outputs, out)
    chunks = chunk_images(opened.ids)
    places = slice(0, len(chunks)) if shard is None else shard.range_of(len(chunks))
    job = _ChunkJob(
        cutter, _chunk_name, cutter.files_of, out / PARTS, cutter.describe(), places.start
    )
    report = Report(TOOL, notes=list(opened.notes))
    parts = run_parts(job, chunks[places], report, workers=workers, engine=engine, part_size=1)
    report.done = 0  # chunks; images are counted below
    _count(parts, report)
    if shard is not None:
        report.notes.append(f"shard {shard.index} of {shard.count}: the store is not finished yet")
    elif report.done:
        _finish(parts, cutter, opened.root, report)
        shutil.rmtree(out / PARTS, ignore_errors=True)
    return report


def _chunk_name(chunk: Chunk) -> str:
    return chunk.file


def _claim(out: Path, outputs: OutputFiles, overwrite: bool) -> None:
    """Refuse a folder that is not ours to write to; clear an older store of this tool."""
    if not out.is_dir() or not any(out.iterdir()):
        return
    finished = (out / HEADER).exists()
    if not finished and not (out / PARTS).is_dir():
        raise InputError(
            out,
            problem="is a folder with other files, and no store of crops",
            remedy="choose another folder for --out",
        )
    if finished and not overwrite:
        raise InputError(
            out, problem="is a finished store", remedy="give --overwrite to replace it"
        )
    if finished:
        if not outputs.owns(out / HEADER):
            raise InputError(
                out / HEADER,
                problem=f"was not written by {TOOL}, so it is never replaced",
                remedy="choose another folder for --out",
            )
        outputs.remove_owned()


def _rows(parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for text in read_lines(parts):
        yield json.loads(text)


def _stop_of(part: Path) -> str | None:
    """Give the reason why a chunk could not be written, where it has one."""
    first = next(_rows([part]), {})
    return first.get("stop")


def _count(parts: Sequence[Path], report: Report) -> None:
    """Fill the report from the parts."""
    dropped: Counter[str] = Counter()
    crops = clipped = 0
    for part in parts:
        for row in _rows([part]):
            if "failed" in row:
                report.failures.append(Failure(row["failed"], row["message"]))
                continue
            report.done += 1
            crops += len(row["cells"])
            clipped += sum(cell["clipped"] for cell in row["cells"])
            dropped.update(reason for _, _, reason, _ in row["dropped"])
    report.notes.append(f"{crops:,} crops of {report.done:,} images")
    if clipped:
        report.notes.append(f"{clipped:,} cells are larger than the crop, which shows their middle")
    report.notes += [
        f"{count:,} cells left out: {reason} ({DROPPED})"
        for reason, count in sorted(dropped.items())
    ]


def _finish(parts: Sequence[Path], cutter: ChunkCutter, root: Path, report: Report) -> None:
    """Join the parts' rows to the tables; the header, which makes it a store, comes last."""
    folder, outputs = cutter.folder, cutter.outputs
    shards: dict[str, int] = {}
    first_crop = images = 0
    with ExitStack() as stack:
        cells_path = stack.enter_context(outputs.writing(folder / CELLS))
        images_path = stack.enter_context(outputs.writing(folder / IMAGES))
        dropped_path = stack.enter_context(outputs.writing(folder / DROPPED))
        handle = stack.enter_context(dropped_path.open("w", newline="", encoding="utf-8"))
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(DROPPED_COLUMNS)
        cell_writer = stack.enter_context(_open_table(cells_path, CELL_SCHEMA))
        image_writer = stack.enter_context(_open_table(images_path, IMAGE_SCHEMA))
        for part in parts:
            image_rows: list[dict[str, Any]] = []
            cell_rows: list[dict[str, Any]] = []
            for row in _rows([part]):
                if "failed" in row:
                    continue
                count = len(row["cells"])
                image_rows.append({**row["image"], "first_crop": first_crop, "crops": count})
                cell_rows += [{**cell, "image": images} for cell in row["cells"]]
                table.writerows(row["dropped"])
                shards[row["file"]] = shards.get(row["file"], 0) + count
                first_crop, images = first_crop + count, images + 1
            _write_rows(image_writer, IMAGE_SCHEMA, image_rows)
            _write_rows(cell_writer, CELL_SCHEMA, cell_rows)
    for file in shards:
        if not (folder / file).exists():
            raise InputError(
                folder / file,
                problem="is gone since it was written",
                remedy=f"remove {folder / PARTS} and run the same command again",
            )
    with outputs.writing(folder / REPORT) as temporary:
        report.write(temporary)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "options": cutter.options.to_dict(),
        "images": images,
        "crops": first_crop,
        "shards": [[file, count] for file, count in shards.items() if count],
        "source": Path(os.path.relpath(root.resolve(), folder.resolve())).as_posix(),
    }
    with outputs.writing(folder / HEADER) as temporary:
        temporary.write_text(json.dumps(header, indent=1), encoding="utf-8")


def _open_table(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd")


def _write_rows(
    writer: pq.ParquetWriter, schema: pa.Schema, rows: Sequence[dict[str, Any]]
) -> None:
    if rows:
        writer.write_table(pa.Table.from_pylist(list(rows), schema=schema))


def _inputs(source: SourceOptions) -> list[Path | None]:
    return [source.source, source.images, source.masks, source.nuclei, source.labels]


def _absolute(source: SourceOptions) -> SourceOptions:
    names = ("source", "images", "masks", "nuclei", "labels", "cell_labels", "groups")
    places = {name: path.absolute() for name in names if (path := getattr(source, name))}
    return replace(source, **places)
