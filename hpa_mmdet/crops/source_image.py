"""An image that crops are cut from: its files, its cells, its labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.parse import CocoCell
from hpa_mmdet.crops.masks import CellMask, cells_of_coco, cells_of_image
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles, read_channels
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.naming import split_plane


class CellLabels(NamedTuple):
    """The set of a cell, how likely each is (empty where the set is certain), who says it."""

    hpa_indices: tuple[int, ...]
    hpa_probs: tuple[float, ...] = ()
    reviewed: bool = False


@dataclass(frozen=True)
class SourceImage:
    """One image: what a store keeps of it, and how its cells are found.

    Args:
        files: its id and the file of each channel.
        image_id: its id in the COCO JSON, or its place from 1.
        image_labels: weak labels; empty where nothing says them.
        group: what must not be split between training and validation.
        cells: entries of the COCO JSON, or None where cells are in `mask`.
        shape_hw: of the image as the COCO JSON has it, or None.
        mask: the label image, or None.
        nuclei: the label image of nuclei, or None.
        labels: of cells by id; a cell that is not named inherits `image_labels`.
        problem: why the image cannot be used.
        bad_masks: ids of cells whose outline a reviewer marked as bad; they are left out.
    """

    files: ImageFiles
    image_id: int
    image_labels: tuple[int, ...]
    group: str
    cells: Sequence[CocoCell] | None = None
    shape_hw: tuple[int, int] | None = None
    mask: Path | None = None
    nuclei: Path | None = None
    labels: Mapping[int, CellLabels] | None = None
    problem: InputError | None = None
    bad_masks: frozenset[int] = frozenset()

    @property
    def paths(self) -> list[Path]:
        """All files that its crops are made from."""
        channels = [split_plane(path)[0] for path in self.files.paths.values()]
        return [*dict.fromkeys(channels), *(p for p in (self.mask, self.nuclei) if p is not None)]

    def read_cells(self) -> tuple[Sequence[CellMask], tuple[int, int]]:
        """Give the masks of the cells, and the height and width of the image they belong to.

        Raises:
            InputError: the masks cannot be read.
        """
        if self.mask is None:
            assert self.shape_hw is not None
            return cells_of_coco(self.cells or (), self.shape_hw), self.shape_hw
        label_image = read_label_image(self.mask)
        return cells_of_image(label_image), (label_image.shape[0], label_image.shape[1])

    def planes(self, names: Sequence[str], shape_hw: tuple[int, int]) -> "ImagePlanes":
        """Give channels by name, each (H, W), read when it is asked for.

        Args:
            names: all that will be asked for.
            shape_hw: what their size must be.
        """
        return ImagePlanes(self, names, shape_hw)

    def labels_of(self, cell_id: int) -> CellLabels:
        """Give the set of a cell."""
        return (self.labels or {}).get(cell_id) or CellLabels(self.image_labels)


class ImagePlanes(Mapping[str, NDArray[np.integer]]):
    """The channels of an image; see `SourceImage.planes`."""

    def __init__(self, image: SourceImage, names: Sequence[str], shape_hw: tuple[int, int]) -> None:
        self._image, self._names, self._shape_hw = image, tuple(names), shape_hw
        paths = {split_plane(path)[0] for path in image.files.paths.values()}
        self._one_by_one = len(paths) == len(image.files.paths)
        self._stack: NDArray[np.integer] | None = None

    def __getitem__(self, name: str) -> NDArray[np.integer]:
        """Read a channel.

        Raises:
            InputError: as `read_channels`, or it has another size than its masks.
        """
        if name not in self._names:
            raise KeyError(name)
        if self._one_by_one:
            return self._checked(read_channels(self._image.files, [name]))[..., 0]
        if self._stack is None:  # a file of several channels is decoded once
            self._stack = self._checked(read_channels(self._image.files, self._names))
        return self._stack[..., self._names.index(name)]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without reading it

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _checked(self, stack: NDArray[np.integer]) -> NDArray[np.integer]:
        if stack.shape[:2] != self._shape_hw:
            raise InputError(
                f"image {self._image.files.image_id}",
                f"channels of {stack.shape[1]}x{stack.shape[0]} pixels",
                f"{self._shape_hw[1]}x{self._shape_hw[0]} as in "
                f"{self._image.mask or 'the COCO JSON'}",
                "segment the image again, or convert it again",
            )
        return stack
