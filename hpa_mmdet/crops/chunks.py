"""A chunk of a store: some images in a row, their crops in one file of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpa_mmdet.coco.filters import BAD_OUTLINE, Dropped
from hpa_mmdet.crops.cut import Crops, cut_prepared, prepare_cells
from hpa_mmdet.crops.limits import CropLimits, part_cells
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.pixel_file import open_pixel_file
from hpa_mmdet.crops.source_image import SourceImage
from hpa_mmdet.crops.sources import SourceOptions, open_source
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.jobs.fingerprint import code_digest, file_states, fingerprint
from hpa_mmdet.jobs.parts import PartFolder, PartSummary
from hpa_mmdet.jobs.report import Failure
from hpa_mmdet.jobs.run import attempt

IMAGES_PER_CHUNK = 64
"""Few enough to be done again after a kill, many enough that a store has few files."""


class Chunk(NamedTuple):
    """Images `begin` and on of a source; their ids, so that a changed source is noticed."""

    number: int
    begin: int
    ids: tuple[str, ...]


@dataclass(frozen=True)
class ChunkCutter:
    """Cuts chunks; picklable.

    Args:
        source: where the images are.
        options: how crops are cut.
        limits: which cells are left out.
        parts: the store's folder, whose files of pixels are the parts of the run.
    """

    source: SourceOptions
    options: CropOptions
    limits: CropLimits
    parts: PartFolder

    def __call__(self, chunk: Chunk) -> PartSummary | InputError:
        """Write a chunk's file, or find that it has been written; an error ends the run."""
        return attempt(self._cut, chunk)

    def _cut(self, chunk: Chunk) -> PartSummary:
        source = open_source(self.source)
        # read once, for the fingerprint and for the cutting
        images = [
            attempt(source.image, place)
            for place in range(chunk.begin, chunk.begin + len(chunk.ids))
        ]
        mark = self._fingerprint_of(chunk, images)
        if (earlier := self.parts.summary_of(chunk.number, mark)) is not None:
            return earlier
        crop_shape = (self.options.size_px, self.options.size_px, len(self.options.channels))
        summary = PartSummary()
        with (
            self.parts.writing(chunk.number, mark, summary) as temporary,
            open_pixel_file(temporary, crop_shape) as writer,
        ):
            for hpa_id, image in zip(chunk.ids, images, strict=True):
                outcome = attempt(self.cut_image, image)
                if isinstance(outcome, InputError):
                    summary.failures.append(Failure(hpa_id, str(outcome)))
                    continue
                crops, line = outcome
                writer.append(crops.pixels, line)
                summary.done += 1
        return summary

    def _fingerprint_of(self, chunk: Chunk, images: Sequence[SourceImage | InputError]) -> str:
        states = [
            str(image) if isinstance(image, InputError) else file_states(image.paths)
            for image in images
        ]
        return fingerprint(
            code_digest(__name__),
            self.source,
            self.options,
            self.limits,
            chunk,
            file_states(open_source(self.source).tables),
            states,
        )

    def cut_image(self, image: SourceImage | InputError) -> tuple[Crops, dict[str, Any]]:
        """Cut the cells of an image that are kept; rows of the tables are the line.

        Raises:
            InputError: a file cannot be read, or sizes differ; or `image` is one.
        """
        if isinstance(image, InputError):
            raise image
        if image.problem is not None:
            raise image.problem
        nuclei = self._read_nuclei(image)
        whole, shape_hw = image.read_cells()
        good = [cell for cell in whole if cell.cell_id not in image.bad_masks]
        cells = prepare_cells(good, self.options, nuclei)
        kept, dropped = part_cells(cells, self.limits, self.options.window_px)
        dropped += [
            Dropped(cell.cell_id, BAD_OUTLINE, int(np.count_nonzero(cell.mask)))
            for cell in whole
            if cell.cell_id in image.bad_masks
        ]
        planes = image.planes(self.options.image_channels, shape_hw)
        crops = cut_prepared(planes, kept, self.options)
        return crops, {
            "image": _image_row(image, shape_hw, open_source(self.source).root),
            "cells": _cell_rows(image, crops),
            "dropped": [_dropped_row(image, cell) for cell in dropped],
        }

    def _read_nuclei(self, image: SourceImage) -> Any:
        if self.options.region == "cell":
            return None
        if image.nuclei is None:
            raise InputError(
                f"image {image.files.image_id}",
                problem=f"has no label image of nuclei in {self.source.nuclei}",
                remedy="segment it again with --nuclei, or cut whole cells",
            )
        return read_label_image(image.nuclei)


def chunk_images(ids: Sequence[str], size: int = IMAGES_PER_CHUNK) -> list[Chunk]:
    """Part a source's images into chunks; shards of a run take whole chunks."""
    return [
        Chunk(number, begin, tuple(ids[begin : begin + size]))
        for number, begin in enumerate(range(0, len(ids), size))
    ]


def _image_row(image: SourceImage, shape_hw: Sequence[int], root: Path) -> dict[str, Any]:
    stats = [path.stat() for path in image.paths]
    return {
        "ID": image.files.image_id,
        "image_id": image.image_id,
        "labels": list(image.image_labels),
        "group": image.group,
        "height": int(shape_hw[0]),
        "width": int(shape_hw[1]),
        "files": [_relative(path, root) for path in image.paths],
        "file_sizes": [status.st_size for status in stats],
        "file_times": [status.st_mtime_ns for status in stats],
    }


def _cell_rows(image: SourceImage, crops: Crops) -> list[dict[str, Any]]:
    rows = []
    for cell, clipped in zip(crops.cells, crops.clipped.tolist(), strict=True):
        labels = image.labels_of(cell.cell_id)
        x, y, width, height = cell.bbox_xywh
        rows.append(
            {
                "ID": image.files.image_id,
                "cell_id": cell.cell_id,
                "x": x,
                "y": y,
                "width": width,
                "height": height,
                "area": int(np.count_nonzero(cell.mask)),
                "labels": list(labels.hpa_indices),
                "label_probs": list(labels.hpa_probs),
                "reviewed": labels.reviewed,
                "border": bool(cell.touches_border),
                "clipped": clipped,
                "group": image.group,
            }
        )
    return rows


def _dropped_row(image: SourceImage, dropped: Dropped) -> list[Any]:
    return [image.files.image_id, dropped.cell_id, dropped.reason, dropped.value]


def _relative(path: Path, root: Path) -> str:
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.resolve().as_posix()
