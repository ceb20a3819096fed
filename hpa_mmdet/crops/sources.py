"""Where crops are cut from: a COCO JSON and its images, or images and label images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.coco.index import images_without_cells, open_coco
from hpa_mmdet.crops.source_image import CellLabels, SourceImage
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import (
    CHANNELS,
    DEFAULT_PATTERN,
    ImageFiles,
    scan_images,
)
from hpa_mmdet.io.label_images import find_masks, scan_masks
from hpa_mmdet.io.label_tables import scan_cell_labels, scan_image_labels
from hpa_mmdet.io.naming import parse_channels

_EMPTY: Mapping[int, tuple[int, ...]] = {}


class CropSource(Protocol):
    """Images in a fixed order, each read when it is asked for."""

    root: Path
    tables: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def ids(self) -> Sequence[str]:
        """The images' ids."""

    def image(self, at: int) -> SourceImage:
        """Read one image's entry.

        Raises:
            InputError: the entry cannot be read.
        """


@dataclass(frozen=True)
class SourceOptions:
    """Names a source; picklable, so that each worker opens it for itself.

    Args:
        source: a COCO JSON, or a folder of images.
        images: folder of the images of a JSON; None for the one that it names.
        masks: folder of label images, for a folder of images.
        nuclei: folder of label images of nuclei.
        labels: CSV of image labels, for a folder of images.
        cell_labels: CSV of the labels of single cells, likewise.
        groups: of the images, such as their antibodies.
        pattern: names of image files, for a folder.
        channels: channels of the files, for a folder.
        mask_pattern: names of label images; None for the usual ones.
        label_scheme: hpa19, hpa28 or names.
    """

    source: Path
    images: Path | None = None
    masks: Path | None = None
    nuclei: Path | None = None
    labels: Path | None = None
    cell_labels: Path | None = None
    groups: Grouping | None = None
    pattern: str = DEFAULT_PATTERN
    channels: tuple[str, ...] = CHANNELS
    mask_pattern: str | None = None
    label_scheme: str = "hpa19"


@lru_cache(maxsize=2)
def open_source(options: SourceOptions) -> CropSource:
    """Open a source; a process that has opened it gets the same again.

    Raises:
        InputError: a file or folder cannot be read, or options do not belong together.
    """
    is_folder = options.source.is_dir()
    if is_folder != (options.masks is not None):
        raise InputError(
            options.source,
            problem="a folder of images needs --masks DIR, a COCO JSON holds its masks",
            remedy="give the folder and --masks, or the JSON alone",
        )
    if not is_folder and (options.labels or options.cell_labels):
        raise InputError("--labels", problem="a COCO JSON holds its labels", remedy="leave it out")
    return FolderSource(options) if is_folder else CocoSource(options)


class CocoSource:
    """A COCO JSON of convert_coco and its images."""

    def __init__(self, options: SourceOptions) -> None:
        data = open_coco(options.source)
        root = options.images or data.images_root
        if root is None:
            raise InputError(
                options.source, problem="names no folder of images", remedy="give --images DIR"
            )
        self.root = root
        self.tables = _tables(options.source, options.groups and options.groups.table)
        self.notes: tuple[str, ...] = ()
        self._images = data.images
        self.ids = [image.hpa_id for image in images_without_cells(data.images)]
        self._groups = _groups_of(self.ids, options)
        self._nuclei = {} if options.nuclei is None else find_masks(options.nuclei)

    def image(self, at: int) -> SourceImage:
        """Read one image's entry and its masks."""
        image = self._images[at]
        paths = {name: self.root / file for name, file in image.channel_files.items()}
        return SourceImage(
            ImageFiles(image.hpa_id, paths),
            image.image_id,
            image.image_labels,
            self._groups[at],
            cells=image.cells,
            shape_hw=image.shape_hw,
            nuclei=self._nuclei.get(image.hpa_id),
            labels={
                cell.cell_id: CellLabels(cell.hpa_indices, cell.hpa_probs, cell.reviewed)
                for cell in image.cells
            },
        )


class FolderSource:
    """Images and label images of the same ids, and tables of labels where there are any."""

    def __init__(self, options: SourceOptions) -> None:
        assert options.masks is not None
        self.root = options.source
        self.tables = _tables(
            options.labels, options.cell_labels, options.groups and options.groups.table
        )
        found = scan_images(options.source, options.channels, options.pattern)
        masks = scan_masks(options.masks, options.mask_pattern)
        self._files = {image.image_id: image for image in found.images}
        self._masks, self._problems = masks.paths, found.problems | masks.problems
        self._names = tuple(parse_channels(options.channels))
        self._nuclei = {} if options.nuclei is None else find_masks(options.nuclei)
        self._labels: dict[str, tuple[int, ...]] | None = None
        self._cell_labels: dict[str, dict[int, tuple[int, ...]]] = {}
        self._bad_masks: dict[str, set[int]] = {}
        if options.labels is not None:
            table = scan_image_labels(options.labels, options.label_scheme)
            self._labels, self._problems = table.sets, self._problems | table.problems
        if options.cell_labels is not None:
            of_cells = scan_cell_labels(options.cell_labels, options.label_scheme)
            self._cell_labels, self._bad_masks = of_cells.sets, of_cells.bad_masks
            self._problems |= of_cells.problems
        self.ids = sorted(self._files)
        self._groups = _groups_of(self.ids, options)
        unused = sorted(masks.paths.keys() - self._files.keys())
        self.notes: tuple[str, ...] = ()
        if unused:
            self.notes = (f"{len(unused)} label images have no images and are left out",)
        self._options = options

    def image(self, at: int) -> SourceImage:
        """Join one image's files and labels."""
        hpa_id = self.ids[at]
        of_cells = self._cell_labels.get(hpa_id, _EMPTY)
        labels = self._labels_of(hpa_id, of_cells)
        problem = self._problems.get(hpa_id)
        if hpa_id not in self._masks:
            problem = problem or InputError(
                f"image {hpa_id}",
                problem=f"has no mask in {self._options.masks}",
                remedy="segment it (tools/segment.py) or remove its files",
            )
        if labels is None:
            problem = problem or InputError(
                f"image {hpa_id}",
                problem=f"has no row in {self._options.labels}",
                remedy="add the row, or leave --labels out",
            )
        return SourceImage(
            self._files[hpa_id],
            at + 1,
            labels or (),
            self._groups[at],
            mask=self._masks.get(hpa_id),
            nuclei=self._nuclei.get(hpa_id),
            labels={
                cell_id: CellLabels(labels, reviewed=True) for cell_id, labels in of_cells.items()
            },
            problem=problem,
            bad_masks=frozenset(self._bad_masks.get(hpa_id, ())),
        )

    def _labels_of(
        self, hpa_id: str, of_cells: Mapping[int, tuple[int, ...]]
    ) -> tuple[int, ...] | None:
        if self._labels is not None:
            return self._labels.get(hpa_id)
        together = set[int]().union(*of_cells.values())
        return tuple(sorted(together))


def _groups_of(ids: list[str], options: SourceOptions) -> list[str]:
    return ids if options.groups is None else options.groups.groups_of(ids)


def _tables(*paths: Path | None) -> tuple[Path, ...]:
    return tuple(path for path in paths if path is not None)
