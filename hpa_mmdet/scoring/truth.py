"""The truth that predictions are scored against, taken from a COCO JSON.

N: cells of one image; K = 19 localizations.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.index import open_coco
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS, multi_hot
from hpa_mmdet.masks.rle import Rle


@dataclass
class TruthImage:
    """One image's cells.

    Args:
        image_id: the HPA id, as in a submission.
        coco_id: the image's id in the JSON.
        width: in pixels.
        height: in pixels.
        rles: N COCO compressed masks of the whole image.
        localizations: (N, K) bool, the set of each cell.
        cell_ids: N values of the label image, or numbers where the JSON has none.
        image_labels: (K,) bool, the weak labels of the image; where the JSON has none, the
            union of its cells' sets.
        reviewed: how many of the cells have sets of their own, and not their image's.
    """

    image_id: str
    coco_id: int
    width: int
    height: int
    rles: list[Rle]
    localizations: NDArray[np.bool_]
    cell_ids: list[int]
    image_labels: NDArray[np.bool_]
    reviewed: int = 0


def read_truth(path: Path) -> dict[str, TruthImage]:
    """Read a COCO JSON as `hpa_mmdet.coco.parse` says, image by image where that can be.

    Returns:
        Images by HPA id, in the file's order.

    Raises:
        InputError: the file cannot be read, an entry of it does not fit, it names one image
            twice, or has none.
    """
    truth: dict[str, TruthImage] = {}
    for image in open_coco(path).images:
        if image.hpa_id in truth:
            raise InputError(path, f"image {image.hpa_id} twice", "once", "merge the entries")
        truth[image.hpa_id] = _truth_image(image)
    if not truth:
        raise InputError(path, "no images", "at least one", "check what was converted")
    return truth


def _truth_image(image: CocoImage) -> TruthImage:
    localizations = np.zeros((len(image.cells), NUM_LOCALIZATIONS), bool)
    for row, cell in enumerate(image.cells):
        localizations[row, list(cell.hpa_indices)] = True
    height, width = image.shape_hw
    return TruthImage(
        image_id=image.hpa_id,
        coco_id=image.image_id,
        width=width,
        height=height,
        rles=[
            {"size": [height, width], "counts": cell.counts.encode("ascii")} for cell in image.cells
        ],
        localizations=localizations,
        cell_ids=[cell.cell_id for cell in image.cells],
        image_labels=multi_hot(image.image_labels)
        if image.image_labels
        else np.asarray(localizations.any(axis=0)),
        reviewed=sum(cell.reviewed for cell in image.cells),
    )
