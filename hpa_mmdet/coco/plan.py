"""What a conversion has to do: one task per image, made before any pixel is read.

Sources are joined by image id. Rows of a table without files are usual (the contest's
table has 21,806 rows, few of them in any folder), so they are counted in one note. An id
with some of its files is a task, and fails in the report if the rest is missing.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.coco.schema import Json
from hpa_mmdet.errors import InputError, list_some
from hpa_mmdet.io.channels import ImageFiles, scan_images
from hpa_mmdet.io.label_images import scan_masks
from hpa_mmdet.io.label_sets import LabelSet, parse_label_set
from hpa_mmdet.io.label_tables import (
    CellTable,
    Columns,
    ImageTable,
    scan_cell_labels,
    scan_image_labels,
)
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.jobs import Failure
from hpa_mmdet.jobs.fingerprint import code_digest, file_states, fingerprint
from hpa_mmdet.jobs.report import REPORT_NAME


class ImageTask(NamedTuple):
    """One image to convert; None where a source has nothing for its id."""

    image_id: int
    hpa_id: str
    mask: Path | None
    nuclei: Path | None
    files: ImageFiles | None
    image_labels: LabelSet | None
    cell_labels: Mapping[int, LabelSet] | None
    problem: InputError | None = None
    bad_masks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sources:
    """Where a conversion reads from.

    Args:
        masks: folder of label images.
        labels: CSV of image labels; None to take the union of each image's cells.
        images: folder of channel files; None for masks alone.
        cell_labels: CSV of the sets of single cells, all or some; the others inherit.
        nuclei: folder of label images of nuclei; None for cells alone.
    """

    masks: Path
    labels: Path | None = None
    images: Path | None = None
    cell_labels: Path | None = None
    nuclei: Path | None = None

    def absolute(self) -> "Sources":
        """Give the same places by their whole paths."""
        places = {place.name: getattr(self, place.name) for place in fields(self)}
        return Sources(**{name: path and path.absolute() for name, path in places.items()})


@dataclass
class ConversionPlan:
    """All tasks by rising id, and what the report should say about the sources."""

    tasks: list[ImageTask]
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def plan_conversion(sources: Sources, options: ConvertOptions) -> ConversionPlan:
    """Join folders and tables by image id.

    Raises:
        InputError: a source cannot be read, one that an option needs is not given, nothing
            says the labels, or no id has a file.
    """
    _check_sources(sources, options)
    masks = scan_masks(sources.masks, options.mask_pattern)
    nuclei = None if sources.nuclei is None else scan_masks(sources.nuclei, options.mask_pattern)
    found = None
    if sources.images is not None:
        found = scan_images(sources.images, options.channels, options.pattern)
    files = {} if found is None else {image.image_id: image for image in found.images}
    of_images, of_cells = _read_tables(sources, options)

    problems: dict[str, InputError] = {}
    for scanned in (of_cells, of_images, nuclei, found, masks):
        problems |= {} if scanned is None else scanned.problems
    ids = sorted(masks.paths.keys() | files.keys())
    plan = ConversionPlan(
        [
            ImageTask(
                image_id,
                hpa_id,
                masks.paths.get(hpa_id),
                None if nuclei is None else nuclei.paths.get(hpa_id),
                files.get(hpa_id),
                _image_labels(hpa_id, of_images, of_cells, options),
                None if of_cells is None else of_cells.sets.get(hpa_id),
                problems.get(hpa_id),
                () if of_cells is None else tuple(sorted(of_cells.bad_masks.get(hpa_id, ()))),
            )
            for image_id, hpa_id in enumerate(ids, start=1)
        ]
    )
    for path, table in ((sources.labels, of_images), (sources.cell_labels, of_cells)):
        if path is not None and table is not None:
            _tell(plan, path, table, set(ids))
    for source in (found, masks, nuclei):
        plan.notes += [] if source is None else source.notes
    if unused := [name for name in masks.unused if not name.endswith(REPORT_NAME)]:
        plan.notes.append(
            f"{sources.masks}: {len(unused)} files are no label images by their names and "
            f"are left out ({list_some(sorted(unused))})"
        )
    return plan


def _check_sources(sources: Sources, options: ConvertOptions) -> None:
    if options.cytoplasm and sources.nuclei is None:
        raise InputError("--cytoplasm", "no nuclei", "--nuclei DIR", "give both")
    if options.min_focus is not None and sources.images is None:
        raise InputError("--min-focus", "no images", "IMAGES", "give the images' folder too")
    if sources.labels is None and sources.cell_labels is None and options.default_labels is None:
        raise InputError(
            "labels", "no table", "--labels or --cell-labels", "give one, or --default-labels"
        )
    if sources.images is not None and not _is_text(str(sources.images.resolve())):
        raise _undecodable(str(sources.images))


def describe_plan(plan: ConversionPlan, sources: Sources, options: ConvertOptions) -> Json:
    """Describe what is to be converted and how, so that shards can be compared.

    Folders and times of files do not count, since each machine may have a copy.

    Returns:
        `options` by name, where they are not the defaults; `images`, their number; digests
        of their `ids`, of `labels`, of the names and sizes of `files`, and of the `code`.
    """
    default = ConvertOptions()
    states = [
        [
            (path.name, file_states([split_plane(path)[0]])[0][0])
            for path in (task.mask, task.nuclei, *(task.files.paths.values() if task.files else ()))
            if path is not None
        ]
        for task in plan.tasks
    ]
    return {
        "options": {
            field.name: value if isinstance(value, int | float | str) else repr(value)
            for field in fields(options)
            if (value := getattr(options, field.name)) != getattr(default, field.name)
        },
        "images": len(plan.tasks),
        "ids": fingerprint([task.hpa_id for task in plan.tasks]),
        "labels": fingerprint(
            [(task.image_labels, task.cell_labels, task.bad_masks) for task in plan.tasks]
        ),
        "files": fingerprint(
            states, [getattr(sources, place.name) is not None for place in fields(sources)]
        ),
        "code": code_digest("hpa_mmdet.coco.convert_image"),
    }


def _is_text(*names: str) -> bool:
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def _undecodable(where: str) -> InputError:
    """Say that a name of the file system is no text, which no JSON can hold."""
    shown = os.fsencode(where).decode("utf-8", "backslashreplace")
    return InputError(
        shown, problem="has a file name that is not UTF-8", remedy="rename the files to UTF-8"
    )


def _read_tables(
    sources: Sources, options: ConvertOptions
) -> tuple[ImageTable | None, CellTable | None]:
    columns = Columns(options.id_column, options.label_column)
    of_images, of_cells = None, None
    if sources.labels is not None:
        of_images = scan_image_labels(sources.labels, options.label_scheme, columns)
    if sources.cell_labels is not None:
        of_cells = scan_cell_labels(sources.cell_labels, options.label_scheme)
    return of_images, of_cells


def _image_labels(
    hpa_id: str, of_images: ImageTable | None, of_cells: CellTable | None, options: ConvertOptions
) -> LabelSet | None:
    found = None
    if of_images is not None:
        found = of_images.sets.get(hpa_id)
    elif of_cells is not None and hpa_id in of_cells.sets:
        found = tuple(sorted(set().union(*of_cells.sets[hpa_id].values())))
    if found is None and options.default_labels is not None:
        return parse_label_set(options.default_labels, "--default-labels", options.label_scheme)
    return found


def _tell(plan: ConversionPlan, path: Path, table: ImageTable | CellTable, ids: set[str]) -> None:
    """Say what of a table is not used, and which labels may be doubted."""
    without_files = sorted(table.sets.keys() - ids - table.problems.keys())
    if without_files:
        plan.notes.append(
            f"{path}: {len(without_files)} of {len(table.sets)} image ids have no files and are "
            f"left out ({list_some(without_files)})"
        )
    # a bad row of an image with files fails with its image
    bad = [str(problem) for key, problem in table.problems.items() if key not in ids]
    if bad:
        rows = f"{len(bad)} rows cannot be used: {bad[0]}"
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        plan.failures.append(Failure(str(path), rows + more))
    plan.notes += [f"{path}: {count} x {doubt}" for doubt, count in sorted(table.doubts.items())]
