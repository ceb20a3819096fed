"""Segment a folder of images: masks out, a report, and nothing done twice."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import read_channels, scan_images
from hpa_mmdet.io.label_images import read_label_image, write_label_image
from hpa_mmdet.io.naming import parse_channels
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Failure, Report, run_items
from hpa_mmdet.jobs.fingerprint import code_digest, fingerprint
from hpa_mmdet.jobs.shards import Shard
from hpa_mmdet.segment.folder_scale import (
    FolderScale,
    fit_to_image,
    measure_folder,
    scale_of_earlier_run,
    with_scale,
)
from hpa_mmdet.segment.method_options import counted_values, input_folders
from hpa_mmdet.segment.outputs import (
    SEGMENT_REPORT,
    SHEET,
    ImageWork,
    SegmentFolders,
    plan_image,
    refuse_stale,
)
from hpa_mmdet.segment.pairing import drop_border_cells
from hpa_mmdet.segment.pictures import draw_outlines, write_picture, write_picture_sheet
from hpa_mmdet.segment.protocol import Planes, Segmentation, Segmenter
from hpa_mmdet.segment.run_notes import add_notes, image_note

_TOOL = "segment"
_ON_SHEET = 24  # pictures


class ImageFolder(NamedTuple):
    """Where the images are: folder, channels as `find_images` takes them, pattern."""

    folder: Path
    channels: tuple[str, ...]
    pattern: str


def segment_folder(
    source: ImageFolder,
    folders: SegmentFolders,
    segmenter: Segmenter,
    *,
    workers: int = 1,
    engine: str = "local",
    shard: Shard | None = None,
    overwrite: bool = False,
) -> Report:
    """Segment every image of a folder.

    An image whose outputs are all there is skipped, so that a broken run goes on where it
    stopped; pictures and nuclei that are asked for later are added. A mask that was
    corrected by hand stays as it is. Where the size of nuclei is not given, it is estimated
    once for the folder (folder_scale.py). The report, over all images whenever they were done, is
    written as `segment_report.json` into the masks' folder.

    Raises:
        InputError: no image is found, a folder cannot be written or is an input, or there
            are masks that other options, files or code made and `overwrite` is not set.
    """
    folders.check(source.folder)
    # a name may be told apart from the word for it in the files: red=w2
    channels = tuple(parse_channels(source.channels))
    modules = (type(segmenter).__module__, "hpa_mmdet.io.channels", "hpa_mmdet.segment.pairing")
    inputs = [source.folder, *input_folders(segmenter)]
    outputs = OutputFiles(_TOOL, inputs=inputs, overwrite=overwrite)
    for folder in (folders.masks, folders.nuclei, folders.qc):
        if folder is not None:
            outputs.claim_folder(folder)
    found = scan_images(source.folder, source.channels, source.pattern)
    images = [image for image in found.images if image.image_id not in found.problems]
    size, scale = segmenter.size_to_estimate, None
    if size is not None and not size.per_image:
        scale = None if overwrite else scale_of_earlier_run(images, folders, outputs)
        scale = scale or measure_folder(images, channels, segmenter, workers=workers, engine=engine)
    if scale is not None:
        segmenter = with_scale(segmenter, scale.diameter)
    outputs = outputs.of_fingerprint(
        fingerprint(
            code_digest(*modules),
            type(segmenter).__name__,
            counted_values(segmenter),
            channels,
            folders.format,
            folders.keep_border,
        )
    )
    images = list((shard or Shard(1, 1)).take(images))
    works = [plan_image(image, folders, segmenter, outputs) for image in images]
    refuse_stale(works, folders)
    report_path = folders.masks / SEGMENT_REPORT
    report_path = shard.path_of(report_path) if shard else report_path
    outputs.claim(report_path)
    if folders.qc is not None:
        outputs.claim(folders.qc / SHEET)

    report = Report(_TOOL)
    report.failures += [Failure(name, str(why)) for name, why in found.problems.items()]
    task = partial(
        _segment_one, segmenter=segmenter, folders=folders, channels=channels, scale=scale
    )
    waiting = [work for work in works if not work.is_done]
    for _ in run_items(task, waiting, report, item_id=_image_id, workers=workers, engine=engine):
        pass
    report.done += len(works) - len(waiting)
    add_notes(report, works, folders, scale, size_is_given=size is None)
    if folders.qc is not None:
        _write_sheet(folders.qc, folders, works, outputs)
    report.write(report_path, outputs)
    return report


def _image_id(work: ImageWork) -> str:
    return work.image.image_id


def _segment_one(
    work: ImageWork,
    *,
    segmenter: Segmenter,
    folders: SegmentFolders,
    channels: Sequence[str],
    scale: FolderScale | None,
) -> None:
    doubt, image_id = "", work.image.image_id
    stack = read_channels(work.image, channels)
    planes = {name: stack[..., at] for at, name in enumerate(channels)}
    if work.users_mask is not None:
        result = _as_it_is(work.users_mask, planes)
    else:
        segmenter, doubt = fit_to_image(segmenter, planes)
        result = segmenter(planes, image_id)
        if not folders.keep_border:
            result = drop_border_cells(result)
    mask_path, nuclei_path = folders.mask_of(image_id), folders.nuclei_of(image_id)
    picture_path = folders.picture_of(image_id)
    if not work.mask and work.users_mask is None:
        _check_same(mask_path, result)
    if work.picture and picture_path is not None:
        with work.marked.writing(picture_path) as temporary:
            write_picture(temporary, draw_outlines(planes, result))
    if work.nuclei and nuclei_path is not None:
        with work.marked.writing(nuclei_path) as temporary:
            write_label_image(temporary, result.nuclei)
    if work.mask:  # last, because it is what other tools look for
        with work.marked.writing(mask_path, image_note(result, scale, doubt)) as temporary:
            write_label_image(temporary, result.cells)
        if work.marked.owns(other := folders.other_mask_of(image_id)):
            other.unlink()  # --overwrite with another --format


def _as_it_is(mask_path: Path, planes: Planes) -> Segmentation:
    cells = read_label_image(mask_path).astype(np.int32)
    shape_hw = next(iter(planes.values())).shape
    if cells.shape != shape_hw:
        raise InputError(
            mask_path,
            f"{cells.shape[1]}x{cells.shape[0]} pixels",
            f"{shape_hw[1]}x{shape_hw[0]} as its image",
            "correct the mask or remove it",
        )
    return Segmentation(np.zeros_like(cells), cells)


def _check_same(mask_path: Path, result: Segmentation) -> None:
    """See that nuclei and pictures that are added belong to the mask that is there."""
    if not np.array_equal(read_label_image(mask_path), result.cells):
        raise InputError(
            mask_path,
            problem="has other cells than the same segmenter finds now",
            remedy="give --overwrite to make it anew",
        )


def _write_sheet(
    qc: Path, folders: SegmentFolders, works: Sequence[ImageWork], outputs: OutputFiles
) -> None:
    paths = [folders.picture_of(work.image.image_id) for work in works]
    there = [path for path in paths if path is not None and path.exists()]
    if there:
        with outputs.writing(qc / SHEET) as temporary:
            write_picture_sheet(temporary, there[:_ON_SHEET])
