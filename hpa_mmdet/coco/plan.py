"""What a conversion has to do: one task per image, made before any pixel is read.

Sources are joined by image id. Rows of a table without files are usual (the contest's
table has 21,806 rows, few of them in any folder), so they are counted in one note. An id
with some of its files is a task, and fails in the report if the rest is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN, find_images
from hpa_mmdet.io.label_images import find_masks
from hpa_mmdet.io.label_tables import read_cell_labels, read_image_labels

IDS_IN_A_NOTE = 5


class ImageTask(NamedTuple):
    """One image to convert; None where a source has nothing for its id."""

    image_id: int
    hpa_id: str
    mask: Path | None
    channel_paths: Mapping[str, Path] | None
    image_labels: tuple[int, ...] | None
    cell_labels: Mapping[int, tuple[int, ...]] | None


class Plan(NamedTuple):
    """All tasks by rising id, and what the report should say about the sources."""

    tasks: list[ImageTask]
    notes: list[str]
    with_images: bool
    with_cell_labels: bool


def plan_conversion(
    images: Path | None,
    masks: Path,
    labels: Path | None,
    cell_labels: Path | None = None,
    *,
    pattern: str = DEFAULT_PATTERN,
    channels: Sequence[str] = CHANNELS,
) -> Plan:
    """Join folders and tables by image id.

    Args:
        images: folder of channel files, or None for masks alone.
        masks: folder of label images.
        labels: CSV of image labels, or None to take the union of each image's cells.
        cell_labels: CSV of true sets of single cells, or None to let cells inherit.
        pattern: name of a channel file, as `find_images` takes it.
        channels: channels that each image must have.

    Raises:
        InputError: a source cannot be read, both tables are missing, or no id has a file.
    """
    if labels is None and cell_labels is None:
        raise InputError("labels", "no table", "--labels or --cell-labels", "give one of them")
    found_masks = find_masks(masks)
    found_images = None if images is None else _by_id(images, channels, pattern)
    of_images = None if labels is None else read_image_labels(labels)
    of_cells = None if cell_labels is None else read_cell_labels(cell_labels)
    ids = sorted(found_masks.keys() | (found_images or {}).keys())
    tasks = []
    for image_id, hpa_id in enumerate(ids, start=1):
        sets = None if of_cells is None else of_cells.get(hpa_id)
        if of_images is not None:
            image_labels = of_images.get(hpa_id)
        else:
            image_labels = None if sets is None else tuple(sorted(set().union(*sets.values())))
        channel_paths = None if found_images is None else found_images.get(hpa_id)
        mask = found_masks.get(hpa_id)
        tasks.append(ImageTask(image_id, hpa_id, mask, channel_paths, image_labels, sets))
    notes = [
        _note(len(table), set(table) - set(ids), path)
        for path, table in ((labels, of_images), (cell_labels, of_cells))
        if table is not None and set(table) - set(ids)
    ]
    return Plan(tasks, notes, images is not None, cell_labels is not None)


def _by_id(images: Path, channels: Sequence[str], pattern: str) -> dict[str, Mapping[str, Path]]:
    return {each.image_id: each.paths for each in find_images(images, channels, pattern)}


def _note(total: int, without_files: Iterable[str], path: Path | None) -> str:
    ids = sorted(without_files)
    shown = ", ".join(ids[:IDS_IN_A_NOTE]) + (", ..." if len(ids) > IDS_IN_A_NOTE else "")
    return f"{path}: {len(ids)} of {total} image ids have no files and are left out ({shown})"
