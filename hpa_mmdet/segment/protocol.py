"""What every segmenter takes and gives.

H, W: image height and width in pixels; axes are (row, column).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.sizes import NucleusSize

Loaded = TypeVar("Loaded")
Planes = Mapping[str, NDArray[np.integer]]


class Segmentation(NamedTuple):
    """Nuclei and cells of one image, (H, W) int32 label images, 0 background.

    Nucleus k lies in cell k, and cell ids run from 1 without gaps; where a segmenter finds
    a cell without its nucleus, that id is missing among the nuclei. Where only a DNA stain
    is given, the nuclei stand for the cells.
    """

    nuclei: NDArray[np.int32]
    cells: NDArray[np.int32]


class Segmenter(Protocol):
    """Finds the cells of one image: a frozen dataclass whose fields are its options.

    Instances are picklable, so that workers can share one.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def size_to_estimate(self) -> NucleusSize | None:
        """The field `size`, where it says too little; None where no size is to be estimated."""
        ...

    def __call__(self, planes: Planes, image_id: str = "") -> Segmentation:
        """Segment one image.

        Args:
            planes: (H, W) uint8 or uint16 for each channel by its name: `blue` is the DNA
                stain, `red` microtubules, `yellow` ER. Not modified.
            image_id: the image's name, for segmenters that look something up by it.

        Raises:
            InputError: a channel that this segmenter needs is missing.
        """
        ...

    def depends_on(self, image_id: str) -> Sequence[Path]:
        """List the files that an image's result depends on besides its channels."""
        ...


class LoadsOnce:
    """What an instance loads is kept in its process only: pickling leaves it out."""

    def once(self, key: str, load: Callable[[], Loaded]) -> Loaded:
        """Give what `load` gives, which is called the first time for this key."""
        if f"_{key}" not in self.__dict__:
            self.__dict__[f"_{key}"] = load()
        loaded: Loaded = self.__dict__[f"_{key}"]
        return loaded

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}


def need_planes(planes: Planes, names: tuple[str, ...], segmenter: str) -> tuple[int, int]:
    """Check that the channels are there and of one size.

    Returns:
        Height and width.

    Raises:
        InputError: a channel is missing, not 2-D, or not of the size of the others.
    """
    missing = [name for name in names if name not in planes]
    if missing or not planes:
        raise InputError(
            f"segmenter {segmenter}",
            f"channels {', '.join(planes) or 'none'}",
            f"{', '.join(names) or 'one'} among them",
            "name the channels you have with --channels, or choose another --method",
        )
    shapes = {name: plane.shape for name, plane in planes.items()}
    height_width = next(iter(shapes.values()))
    if len(set(shapes.values())) > 1 or len(height_width) != 2:
        raise InputError(
            f"segmenter {segmenter}",
            f"shapes {shapes}",
            "one (H, W) for all channels",
            "export all channels of an image at one size",
        )
    return height_width[0], height_width[1]


def no_cells(shape_hw: tuple[int, int]) -> Segmentation:
    """Give the result of an image in which nothing was found."""
    return Segmentation(np.zeros(shape_hw, np.int32), np.zeros(shape_hw, np.int32))


def keep_cells(segmentation: Segmentation, cell_ids: NDArray[np.integer]) -> Segmentation:
    """Keep some cells with their nuclei; ids run on from 1 without gaps, in the old order.

    Args:
        segmentation: nuclei and cells with shared ids.
        cell_ids: rising; 0 among them is passed over.
    """
    nuclei, cells = segmentation
    kept = cell_ids[cell_ids > 0]
    new_ids = np.zeros(int(max(cells.max(initial=0), nuclei.max(initial=0))) + 1, np.int32)
    new_ids[kept] = np.arange(1, len(kept) + 1)
    return Segmentation(new_ids[nuclei], new_ids[cells])
