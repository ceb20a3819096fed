"""One image of a conversion: its files checked, its cells encoded, its lines written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.filters import Dropped, filter_cells, measure_focus
from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.coco.plan import ImageTask, Sources
from hpa_mmdet.coco.schema import build_annotations, build_image, to_line
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import check_channels, read_channels
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.label_sets import LabelSet
from hpa_mmdet.io.naming import Template, parse_channels, split_plane
from hpa_mmdet.jobs.parts import ItemResult
from hpa_mmdet.masks.encode import EncodedCell, encode_cells

IMAGE, ANNOTATION, DROPPED = "I", "A", "D"
ANNOTATED: tuple[str, ...] = ("cells", "nuclei", "cytoplasm")


class CellSet(NamedTuple):
    """The set of a cell, and whether a table gave it for this cell."""

    labels: LabelSet
    reviewed: bool


class TaggedLine(NamedTuple):
    """A line of a part's file: what it is, which set it belongs to, the entry itself."""

    kind: str
    annotated: str
    text: str

    def to_text(self) -> str:
        """Join the fields; the entry comes last and may hold anything but a line break."""
        return f"{self.kind}\t{self.annotated}\t{self.text}"

    @classmethod
    def from_text(cls, line: str) -> "TaggedLine":
        """Undo `to_text`."""
        return cls(*line.split("\t", 2))


def convert_image(task: ImageTask, *, sources: Sources, options: ConvertOptions) -> ItemResult:
    """Convert one image.

    Raises:
        InputError: a file is missing or unreadable, sizes differ, or labels are missing.
    """
    mask, image_labels = _check_task(task, sources)
    label_image = read_label_image(mask, max_pixels=options.max_pixels)
    height, width = label_image.shape
    channel_files = _channel_files(task, sources, options, (width, height))
    file_name = _file_name(task, options, channel_files)
    image = build_image(
        task.image_id, task.hpa_id, file_name, (width, height), channel_files, image_labels
    )
    if (blurred := _out_of_focus(task, options)) is not None:
        return ItemResult([_line(DROPPED, "cells", _row(task, blurred))], [])

    lines: list[str] = []
    notes: list[str] = []
    kept: dict[int, CellSet] = {}
    for annotated, regions in _label_images(task, label_image, options).items():
        cells = encode_cells(regions, mask)
        if annotated == "cells":  # they come first and decide for their nuclei and cytoplasm
            sets = _sets_of_cells(task, cells, image_labels, sources, options, notes)
            kept_cells, dropped = filter_cells(cells, sets, options, task.bad_masks)
            kept = {cell.cell_id: sets[cell.cell_id] for cell in kept_cells}
            lines += [_line(DROPPED, annotated, _row(task, cell)) for cell in dropped]
            if not cells:
                notes.append(f"{mask}: no cells, so the image has no annotations")
        lines.append(_line(IMAGE, annotated, image))
        lines += [
            _line(ANNOTATION, annotated, annotation)
            for cell in cells
            if cell.cell_id in kept
            for annotation in build_annotations(
                task.image_id,
                cell,
                (height, width),
                kept[cell.cell_id].labels,
                options.layout,
                reviewed=kept[cell.cell_id].reviewed,
            )
        ]
    return ItemResult(lines, notes)


def files_of(task: ImageTask) -> list[Path]:
    """List the files that an image's lines are made from."""
    paths = [path for path in (task.mask, task.nuclei) if path is not None]
    if task.files is not None:
        paths += [split_plane(path)[0] for path in task.files.paths.values()]
    return paths


def _check_task(task: ImageTask, sources: Sources) -> tuple[Path, LabelSet]:
    if task.problem is not None:
        raise task.problem
    if task.mask is None:
        raise InputError(
            f"image {task.hpa_id}",
            f"no mask in {sources.masks}",
            "<id>.png or <id>_mask.png",
            "segment it (tools/segment.py) or remove its channel files",
        )
    if task.image_labels is None:
        raise InputError(
            task.mask,
            f"no row for {task.hpa_id} in {sources.labels or sources.cell_labels}",
            "one row per image",
            "add the row, remove the mask, or give --default-labels",
        )
    if sources.nuclei is not None and task.nuclei is None:
        raise InputError(
            task.mask, f"no nuclei of {task.hpa_id} in {sources.nuclei}", "one", "add the file"
        )
    if sources.images is not None and task.files is None:
        raise InputError(
            task.mask,
            f"no image files of {task.hpa_id} in {sources.images}",
            "its channels",
            "add them, or leave IMAGES out to convert masks alone",
        )
    return task.mask, task.image_labels


def _channel_files(
    task: ImageTask, sources: Sources, options: ConvertOptions, size_wh: tuple[int, int]
) -> dict[str, str]:
    if task.files is None or sources.images is None:
        return {}
    names = options.channel_names
    found = check_channels(task.files, names, max_pixels=options.max_pixels)
    if found != size_wh:
        raise InputError(
            split_plane(task.files.paths[names[0]])[0],
            f"{found[0]}x{found[1]} pixels",
            f"{size_wh[0]}x{size_wh[1]} as in {task.mask}",
            "segment the image again, or scale its mask without interpolation",
        )
    return {name: task.files.paths[name].relative_to(sources.images).as_posix() for name in names}


def _file_name(task: ImageTask, options: ConvertOptions, channel_files: Mapping[str, str]) -> str:
    """Name the picture that common COCO readers open."""
    shown = options.shown_channel
    if task.files is None:
        template = Template(options.pattern, parse_channels(options.channels))
        return template.format(task.hpa_id, shown)
    plane = split_plane(task.files.paths[shown])[1]
    return channel_files[shown].removesuffix(f"#{plane}")


def _out_of_focus(task: ImageTask, options: ConvertOptions) -> Dropped | None:
    if options.min_focus is None or task.files is None:
        return None
    channel = options.measured_channel
    plane = read_channels(task.files, [channel], max_pixels=options.max_pixels)[..., 0]
    focus = round(measure_focus(plane), 6)
    if focus >= options.min_focus:
        return None
    return Dropped(None, f"focus of {channel} below --min-focus", focus)


def _label_images(
    task: ImageTask, cells: NDArray[np.integer], options: ConvertOptions
) -> dict[str, NDArray[np.integer]]:
    """Give the label image of each annotation set."""
    if task.nuclei is None:
        return {"cells": cells}
    nuclei = read_label_image(task.nuclei, max_pixels=options.max_pixels)
    if nuclei.shape != cells.shape:
        raise InputError(
            task.nuclei,
            f"{nuclei.shape[1]}x{nuclei.shape[0]} pixels",
            f"{cells.shape[1]}x{cells.shape[0]} as in {task.mask}",
            "segment the image again",
        )
    strays = np.setdiff1d(np.unique(nuclei), np.unique(cells))
    strays = strays[strays > 0]
    if strays.size:
        raise InputError(
            task.nuclei,
            f"nucleus {', '.join(map(str, strays[:5].tolist()))} without a cell of its id",
            f"the ids of {task.mask}",
            "give nuclei and cells of one segmentation",
        )
    sets = {"cells": cells, "nuclei": nuclei}
    if options.cytoplasm:
        sets["cytoplasm"] = np.where(nuclei > 0, 0, cells).astype(cells.dtype)
    return sets


def _sets_of_cells(
    task: ImageTask,
    cells: Sequence[EncodedCell],
    image_labels: LabelSet,
    sources: Sources,
    options: ConvertOptions,
    notes: list[str],
) -> dict[int, CellSet]:
    """Give the set of each cell: that of the table, or else its image's."""
    known = task.cell_labels or {}
    sets = {
        cell.cell_id: CellSet(known[cell.cell_id], reviewed=True)
        for cell in cells
        if cell.cell_id in known
    }
    in_mask = {cell.cell_id for cell in cells}
    missing = sorted(in_mask - known.keys() - {*task.bad_masks})
    # without a table of images the image has the labels of its known cells, which says nothing
    # of the others
    inherit = sources.cell_labels is None or sources.labels is not None or not known
    if inherit and not (sources.cell_labels and options.skip_unlabelled_cells):
        sets |= {cell_id: CellSet(image_labels, reviewed=False) for cell_id in missing}
    elif missing and not options.skip_unlabelled_cells:
        raise InputError(
            task.mask,
            f"no row in {sources.cell_labels} for cell {', '.join(map(str, missing))}",
            "one for each cell of the mask, or --labels",
            "give --labels, so that these cells inherit their image's labels, add the rows, or "
            "leave the cells out with --skip-unlabelled-cells",
        )
    if extra := sorted({*known, *task.bad_masks} - in_mask):
        notes.append(
            f"{task.mask}: no cell {', '.join(map(str, extra))}, so the rows of "
            f"{sources.cell_labels} for it are not used"
        )
    return sets


def _line(kind: str, annotated: str, entry: object) -> str:
    return TaggedLine(kind, annotated, to_line(entry)).to_text()


def _row(task: ImageTask, dropped: Dropped) -> list[object]:
    """Give the fields of `DROPPED_COLUMNS`."""
    cell_id = "" if dropped.cell_id is None else dropped.cell_id
    return [task.hpa_id, cell_id, dropped.reason, dropped.value]
