"""Predictions as label TIFFs, which napari and Fiji open."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.outputs.table import cell_id_of
from hpa_mmdet.inference.runs import runs_from_counts
from hpa_mmdet.io.atomic import atomic_path


def draw_labels(prediction: ImagePrediction) -> NDArray[np.unsignedinteger]:
    """Draw the cells into one label image; where they overlap the surer one is on top.

    Returns:
        (H, W) uint16, or uint32 where an id needs it; 0 is background, a cell's value is
        its `cell_id` of the table.
    """
    ids = [cell_id_of(cell, number) for number, cell in enumerate(prediction.cells, start=1)]
    dtype = np.uint16 if max(ids, default=0) <= np.iinfo(np.uint16).max else np.uint32
    shape_hw = (prediction.height, prediction.width)
    labels = np.zeros(shape_hw, dtype)
    order = sorted(range(len(ids)), key=lambda place: prediction.cells[place].cell_score)
    for place in order:
        x, y, width, height = prediction.cells[place].bbox_xywh
        inside = runs_from_counts(prediction.cells[place].counts, shape_hw).crop()
        labels[y : y + height, x : x + width][inside] = ids[place]
    return labels


def write_labels(path: Path, prediction: ImagePrediction) -> None:
    """Write the label image of a prediction as a compressed TIFF."""
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, draw_labels(prediction), compression="zlib", metadata=None, software=False
        )
