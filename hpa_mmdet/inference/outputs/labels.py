"""Predictions as label TIFFs, which napari and Fiji open."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from hpa_mmdet.coco.mask_runs import runs_from_counts
from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.io.atomic import atomic_path


def draw_labels(prediction: ImagePrediction, calls: Calls) -> NDArray[np.unsignedinteger]:
    """Draw the called cells into one label image; where they overlap the surer one is on top.

    Returns:
        (H, W) uint16, or uint32 where an id needs it; 0 is background, a cell's value is
        its `cell_id` of the table.
    """
    called = calls.cells(prediction)
    highest = max((cell_id for cell_id, _ in called), default=0)
    dtype = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32
    shape_hw = (prediction.height, prediction.width)
    labels = np.zeros(shape_hw, dtype)
    for cell_id, cell in sorted(called, key=lambda each: each[1].cell_score):
        x, y, width, height = cell.bbox_xywh
        inside = runs_from_counts(cell.counts, shape_hw).crop()
        labels[y : y + height, x : x + width][inside] = cell_id
    return labels


def write_labels(path: Path, prediction: ImagePrediction, calls: Calls) -> None:
    """Write the label image of a prediction as a compressed TIFF."""
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            draw_labels(prediction, calls),
            compression="zlib",
            metadata=None,
            software=False,
        )
