"""What every segmenter takes and gives.

H, W: image height and width in pixels; axes are (row, column).
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError

Planes = Mapping[str, NDArray[np.integer]]


class Segmentation(NamedTuple):
    """Nuclei and cells of one image. Nucleus k lies in cell k; ids run from 1 without gaps.

    Both are (H, W) int32 label images with 0 as background. Where only a DNA stain is
    given, the nuclei stand for the cells.
    """

    nuclei: NDArray[np.int32]
    cells: NDArray[np.int32]


class Segmenter(Protocol):
    """Finds the cells of one image. Instances are picklable, so that workers can share one."""

    def __call__(self, planes: Planes) -> Segmentation:
        """Segment one image.

        Args:
            planes: (H, W) uint8 or uint16 for each channel by its name: `blue` is the DNA
                stain, `red` microtubules, `yellow` ER. Not modified.

        Raises:
            InputError: a channel that this segmenter needs is missing.
        """
        ...


def need_planes(planes: Planes, names: tuple[str, ...], segmenter: str) -> None:
    """Check that the channels are there and of one size.

    Raises:
        InputError: a channel is missing, not 2-D, or not of the size of the others.
    """
    missing = [name for name in names if name not in planes]
    if missing:
        raise InputError(
            f"segmenter {segmenter}",
            f"channels {', '.join(planes) or 'none'}",
            f"{', '.join(names)} among them",
            "name the channels you have with --channels, or choose another --method",
        )
    shapes = {name: plane.shape for name, plane in planes.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 2 for shape in shapes.values()):
        raise InputError(
            f"segmenter {segmenter}",
            f"shapes {shapes}",
            "one (H, W) for all channels",
            "export all channels of an image at one size",
        )
