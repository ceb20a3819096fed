"""Label images made by anything else, behind the same protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import FoundMasks, read_label_image, scan_masks
from hpa_mmdet.segment.method_options import option
from hpa_mmdet.segment.pairing import pair_by_overlap
from hpa_mmdet.segment.protocol import LoadsOnce, Planes, Segmentation, need_planes
from hpa_mmdet.segment.sizes import NucleusSize


@dataclass(frozen=True)
class GivenMasks(LoadsOnce):
    """Cells, and nuclei where there are some, read from folders of label images.

    Args:
        cells: folder with `<id>_mask.<ext>` or `<id>.<ext>` for each image.
        nuclei: the same for nuclei; they take the ids of the cells that hold them.
    """

    cells: Path = field(metadata=option("--masks", "folder of label images of cells", counts=False))
    nuclei: Path | None = field(
        default=None,
        metadata=option("--nuclei-masks", "folder of label images of nuclei", counts=False),
    )

    @property
    def size_to_estimate(self) -> NucleusSize | None:
        """See `Segmenter`; masks have no scale."""
        return None

    def depends_on(self, image_id: str) -> Sequence[Path]:
        """Give the label images of an image, as far as there are some."""
        folders = [self.cells] if self.nuclei is None else [self.cells, self.nuclei]
        found = (self._scan(folder).paths.get(image_id) for folder in folders)
        return [path for path in found if path is not None]

    def __call__(self, planes: Planes, image_id: str = "") -> Segmentation:
        """Look up one image; see `Segmenter`.

        Raises:
            InputError: the image has no label image, two of them, or one of another size.
        """
        shape_hw = need_planes(planes, (), "masks")
        cells = self._read(self.cells, image_id, shape_hw)
        if self.nuclei is None:
            return pair_by_overlap(np.zeros(shape_hw, np.int32), cells)
        return pair_by_overlap(self._read(self.nuclei, image_id, shape_hw), cells)

    def _read(self, folder: Path, image_id: str, shape_hw: tuple[int, int]) -> NDArray[np.integer]:
        found = self._scan(folder)
        if image_id in found.problems:
            raise found.problems[image_id]
        path = found.paths.get(image_id)
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

    def _scan(self, folder: Path) -> FoundMasks:
        """List a folder, once in each process."""
        return self.once(f"found_{folder}", lambda: scan_masks(folder))
