"""Statistics of a COCO JSON or of a label table alone: the numbers, and the page of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpa_mmdet.coco.index import images_without_cells, open_coco
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.statistics import (
    choose_examples,
    count_labels,
    measure_brightness,
    measure_cells,
)
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN, ImageFiles, find_images
from hpa_mmdet.io.label_tables import read_native_labels
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.jobs import Failure, Report, run_items
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.pages.compose import compose_picture
from hpa_mmdet.pages.page import Page, Picture
from hpa_mmdet.reports.statistics_page import (
    Examples,
    add_brightness,
    add_cells,
    add_examples,
    add_labels,
)

_EXAMPLE_PX = 320


@dataclass
class Dataset:
    """What the statistics are of, whichever file it came from.

    Attributes:
        source: the file.
        names: K class names.
        image_labels: weak label set of each image id.
        cells: the images of a COCO JSON, read when asked for; empty for a label table.
        files: channel files by image id, for the images that have some.
    """

    source: Path
    names: tuple[str, ...]
    image_labels: Mapping[str, tuple[int, ...]]
    cells: Sequence[CocoImage] = ()
    files: Mapping[str, ImageFiles] = field(default_factory=dict)


def read_dataset(
    source: Path,
    *,
    images: Path | None = None,
    channels: Sequence[str] = CHANNELS,
    pattern: str = DEFAULT_PATTERN,
    scheme: str = "hpa19",
) -> Dataset:
    """Read a COCO JSON (.json) or a label table (any other ending).

    Args:
        source: the file.
        images: folder of the channel files; a JSON may name its own.
        channels: their names, for a label table.
        pattern: name of a channel file, for a label table.
        scheme: numbering of a label table.

    Raises:
        InputError: the file or the folder cannot be read.
    """
    if source.suffix.lower() == ".json":
        return _read_json(source, images)
    names, image_labels = read_native_labels(source, scheme)
    files: dict[str, ImageFiles] = {}
    if images is not None:
        files = {found.image_id: found for found in find_images(images, channels, pattern)}
        files = {image_id: files[image_id] for image_id in image_labels if image_id in files}
        if not files:
            raise InputError(
                images, f"no image of {source.name}", f"files named {pattern}", "check --pattern"
            )
    return Dataset(source, names, image_labels, files=files)


def _read_json(source: Path, images: Path | None) -> Dataset:
    data = open_coco(source)
    root = images or data.images_root
    if root is None or not root.is_dir():
        if images is not None:
            raise InputError(images, "no folder", "the images' folder", "check --images")
        root = None
    labels: dict[str, tuple[int, ...]] = {}
    places: dict[str, int] = {}
    for place, image in enumerate(images_without_cells(data.images)):
        labels[image.hpa_id] = image.image_labels
        paths = [] if root is None else list(_files_of(image, root).paths.values())
        if paths and split_plane(paths[0])[0].is_file():
            places[image.hpa_id] = place
    files = {} if root is None else _JsonFiles(data.images, places, root)
    return Dataset(source, NAMES, labels, data.images, files)


class _JsonFiles(Mapping[str, ImageFiles]):
    """Channel files by image id, looked up in the JSON when asked for."""

    def __init__(self, images: Sequence[CocoImage], places: Mapping[str, int], root: Path) -> None:
        self._images, self._places, self._root = images, places, root

    def __getitem__(self, image_id: str) -> ImageFiles:
        return _files_of(self._images[self._places[image_id]], self._root)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _files_of(image: CocoImage, root: Path) -> ImageFiles:
    ordered = [channel for channel in CHANNELS if channel in image.channel_files]
    paths = {channel: root / image.channel_files[channel] for channel in ordered}
    return ImageFiles(image.hpa_id, paths)


def build_statistics(
    data: Dataset, report: Report, *, examples: int = 12, sample: int = 200, workers: int = 1
) -> tuple[Page, dict[str, Any]]:
    """Count and measure, and put the page together.

    Args:
        data: the dataset.
        report: files that cannot be read are listed here.
        examples: the most pictures of each kind.
        sample: the most images to measure brightness on, evenly spread; 0 for none.
        workers: processes that measure.

    Returns:
        The page, and the same numbers as plain values.
    """
    page = Page("Dataset statistics", str(data.source))
    numbers: dict[str, Any] = {"source": str(data.source), "classes": list(data.names)}
    image_labels = count_labels(data.image_labels.values(), data.names)
    numbers["image_labels"] = image_labels.to_json()
    if image_labels.items:
        add_labels(page, image_labels, "images")
    if data.cells:
        sets: Counter[tuple[int, ...]] = Counter()
        measured = measure_cells(_counting_sets(data.cells, sets))
        cell_labels = count_labels(sets.elements(), data.names)
        numbers["cell_labels"], numbers["cells"] = cell_labels.to_json(), measured.to_json()
        if cell_labels.items:
            add_labels(page, cell_labels, "cells")
            add_cells(page, measured)
    if not data.files:
        page.add_note("No pixels: brightness and examples are left out. Give --images for them.")
        return page, numbers
    brightness = _measure(data, report, sample, workers)
    if brightness:
        add_brightness(page, brightness, len(data.image_labels))
        numbers["brightness"] = brightness
    add_examples(page, _examples(data, report, examples))
    return page, numbers


def _counting_sets(
    images: Sequence[CocoImage], sets: Counter[tuple[int, ...]]
) -> Iterator[CocoImage]:
    """Give the images; count the label sets of their cells on the way, so all is one pass."""
    with progress("images counted", len(images)) as advance:
        for image in images:
            sets.update(cell.hpa_indices for cell in image.cells)
            yield image
            advance(1)


def _measure(data: Dataset, report: Report, sample: int, workers: int) -> dict[str, Any]:
    step = max(1, -(-len(data.files) // sample)) if sample else 1
    chosen = [data.files[image_id] for image_id in list(data.files)[::step]] if sample else []
    done = run_items(
        measure_brightness,
        chosen,
        report,
        item_id=lambda image: image.image_id,
        workers=workers,
        description="brightness",
    )
    return {image.image_id: measured for image, measured in done}


def _examples(data: Dataset, report: Report, wanted: int) -> Examples:
    sets = {image_id: data.image_labels[image_id] for image_id in data.files}
    chosen = choose_examples(sets, len(data.names), wanted)
    known_bad = {failure.item_id for failure in report.failures}
    pictures: list[list[Picture]] = []
    for ids in chosen:
        pictures.append([])
        for image_id in ids:
            words = ", ".join(data.names[k] for k in sets[image_id])
            try:
                pixels = compose_picture(data.files[image_id], _EXAMPLE_PX)
                pictures[-1].append(Picture(pixels, f"{words}\n{image_id}"))
            except InputError as error:
                if image_id not in known_bad:
                    report.failures.append(Failure(image_id, str(error)))
    return Examples(*pictures)
