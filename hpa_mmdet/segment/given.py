"""Label images made by anything else, behind the same protocol."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import find_masks, read_label_image
from hpa_mmdet.segment.pairing import pair_by_overlap
from hpa_mmdet.segment.protocol import Planes, Segmentation, need_planes


@dataclass(frozen=True)
class GivenMasks:
    """Cells, and nuclei where there are some, read from folders of label images.

    Args:
        cells: folder with `<id>_mask.<ext>` or `<id>.<ext>` for each image.
        nuclei: the same for nuclei; they take the ids of the cells that hold them.
    """

    cells: Path
    nuclei: Path | None = None

    def __call__(self, planes: Planes, image_id: str = "") -> Segmentation:
        """Look up one image; see `Segmenter`.

        Raises:
            InputError: the image has no label image, or one of another size.
        """
        shape_hw = need_planes(planes, (), "masks")
        cells = _read(self.cells, image_id, shape_hw)
        if self.nuclei is None:
            return pair_by_overlap(np.zeros(shape_hw, np.int32), cells)
        return pair_by_overlap(_read(self.nuclei, image_id, shape_hw), cells)


def _read(folder: Path, image_id: str, shape_hw: tuple[int, int]) -> NDArray[np.integer]:
    path = find_masks(folder).get(image_id)
    if path is None:
        raise InputError(
            folder, f"no label image of {image_id}", f"{image_id}_mask.png", "add the file"
        )
    label_image = read_label_image(path)
    if label_image.shape != shape_hw:
        raise InputError(
            path,
            f"{label_image.shape[1]}x{label_image.shape[0]}",
            f"{shape_hw[1]}x{shape_hw[0]} as its image",
            "make label images at the size of the images",
        )
    return label_image
