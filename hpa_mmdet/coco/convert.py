"""Cell masks and labels to a COCO JSON, image by image."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from hpa_mmdet.coco.plan import ImageTask, Plan, plan_conversion
from hpa_mmdet.coco.runs import EncodedCell, encode_cells
from hpa_mmdet.coco.schema import (
    Json,
    build_annotation,
    build_categories,
    build_image,
    build_info,
)
from hpa_mmdet.coco.writer import open_writer
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.jobs import Report, run_items

SHOWN_CHANNEL = "green"  # the protein: what `file_name` points at


class ConvertedImage(NamedTuple):
    """One image as it goes into the JSON (annotation ids still 0), and what to tell."""

    image: Json
    annotations: list[Json]
    notes: list[str]


def convert(
    images: Path | None,
    masks: Path,
    labels: Path | None,
    out: Path,
    cell_labels: Path | None = None,
    *,
    pattern: str = DEFAULT_PATTERN,
    channels: Sequence[str] = CHANNELS,
    workers: int = 1,
    overwrite: bool = False,
) -> Report:
    """Write `out` and its report beside it (`<out>.report.json`).

    An image that cannot be converted is listed in the report and left out; nothing is
    written where none can be. The bytes depend on the input alone, not on `workers`.

    Raises:
        InputError: a source cannot be read, or `out` exists and `overwrite` is not set.
    """
    if out.exists() and not overwrite:
        raise InputError(out, "an older file", "a new path", "give --overwrite to replace it")
    plan = plan_conversion(images, masks, labels, cell_labels, pattern=pattern, channels=channels)
    report = Report("convert_coco", notes=list(plan.notes))
    _write(
        plan,
        images,
        out,
        report,
        partial(
            convert_image,
            images=images,
            channels=tuple(channels),
            pattern=pattern,
            with_cell_labels=plan.with_cell_labels,
        ),
        workers,
    )
    report.write(out.with_name(out.name + ".report.json"))
    return report


def _write(
    plan: Plan,
    images: Path | None,
    out: Path,
    report: Report,
    function: Callable[[ImageTask], ConvertedImage],
    workers: int,
) -> None:
    with open_writer(out, build_info(images, out), build_categories()) as writer:
        for _, result in run_items(function, plan.tasks, report, item_id=_hpa_id, workers=workers):
            writer.add(result.image, result.annotations)
            report.notes.extend(result.notes)


def _hpa_id(task: ImageTask) -> str:
    return task.hpa_id


def convert_image(
    task: ImageTask,
    *,
    images: Path | None,
    channels: Sequence[str],
    pattern: str,
    with_cell_labels: bool,
) -> ConvertedImage:
    """Convert one image.

    Raises:
        InputError: a file is missing or unreadable, sizes differ, or labels are missing.
    """
    if task.mask is None:
        raise InputError(
            f"image {task.hpa_id}",
            "no mask",
            "<id>.png or <id>_mask.png in --masks",
            "segment it (tools/segment.py) or remove its channel files",
        )
    if task.image_labels is None:
        raise InputError(
            task.mask,
            f"no row for {task.hpa_id} in the labels",
            "one row per image",
            "add the row or remove the mask",
        )
    label_image = read_label_image(task.mask)
    size_wh = (label_image.shape[1], label_image.shape[0])
    channel_files = {} if images is None else _channel_files(task, images, channels, size_wh)
    cells = encode_cells(label_image, task.mask)
    notes = [] if cells else [f"{task.mask}: no cells, so the image has no annotations"]
    sets = _sets_of_cells(task, cells, notes) if with_cell_labels else None
    file_name = pattern.format(id=task.hpa_id, channel=SHOWN_CHANNEL)
    image = build_image(
        task.image_id,
        task.hpa_id,
        channel_files.get(SHOWN_CHANNEL, file_name),
        size_wh,
        channel_files,
        task.image_labels,
    )
    annotations = [
        build_annotation(
            0,
            task.image_id,
            cell,
            label_image.shape,
            sets[cell.cell_id] if sets is not None else task.image_labels,
        )
        for cell in cells
    ]
    return ConvertedImage(image, annotations, notes)


def _channel_files(
    task: ImageTask, images: Path, channels: Sequence[str], size_wh: tuple[int, int]
) -> dict[str, str]:
    if task.channel_paths is None:
        raise InputError(
            task.mask,
            f"no image files of {task.hpa_id} in {images}",
            "its channels",
            "add them, or leave IMAGES out to convert masks alone",
        )
    files = {}
    for channel in channels:
        path = task.channel_paths.get(channel)
        if path is None:
            raise InputError(
                f"image {task.hpa_id}",
                f"no {channel} file (only {', '.join(sorted(task.channel_paths))})",
                f"one file for each of {', '.join(channels)}",
                "add the file, or name the channels you have with --channels",
            )
        try:
            with Image.open(path) as picture:
                size = picture.size
        except Exception as error:
            raise InputError(
                path, f"an unreadable picture ({error})", "a whole picture", "export it again"
            ) from error
        if size != size_wh:
            raise InputError(
                path,
                f"{size[0]}x{size[1]}",
                f"{size_wh[0]}x{size_wh[1]} as in {task.mask}",
                "segment the image again, or scale its mask",
            )
        files[channel] = path.relative_to(images).as_posix()
    return files


def _sets_of_cells(
    task: ImageTask, cells: Sequence[EncodedCell], notes: list[str]
) -> Mapping[int, tuple[int, ...]]:
    sets = task.cell_labels or {}
    in_mask = {cell.cell_id for cell in cells}
    if missing := sorted(in_mask - sets.keys()):
        raise InputError(
            task.mask,
            f"no row for cell {', '.join(map(str, missing))} of {task.hpa_id} in the cell labels",
            "one row for each cell of the mask",
            "add the rows, or erase the cells from the mask",
        )
    if extra := sorted(sets.keys() - in_mask):
        notes.append(
            f"{task.mask}: no cell {', '.join(map(str, extra))}, whose rows in the cell labels are not used"
        )
    return sets
