"""Predictions as label TIFFs, which napari and Fiji open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.io import large_images
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.masks.runs import runs_from_counts

_TILE_PX = 512


def draw_labels(prediction: ImagePrediction, calls: Calls) -> NDArray[np.unsignedinteger]:
    """Draw the called cells into one label image; where they overlap the surer one is on top.

    Returns:
        (H, W) uint16, or uint32 where an id needs it; 0 is background, a cell's value is
        its `cell_id` of the table.
    """
    drawing = _Drawing(prediction, calls)
    return drawing.part(0, 0, prediction.height, prediction.width)


def write_labels(path: Path, prediction: ImagePrediction, calls: Calls) -> None:
    """Write the label image of a prediction as a compressed TIFF.

    That of a large image is drawn and written in tiles, and never whole in memory.
    """
    drawing = _Drawing(prediction, calls)
    shape_hw = (prediction.height, prediction.width)
    in_tiles = shape_hw[0] * shape_hw[1] > large_images.LARGE_PIXELS
    layout: dict[str, Any] = {"tile": (_TILE_PX, _TILE_PX), "maxworkers": 1} if in_tiles else {}
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            drawing.tiles() if in_tiles else drawing.part(0, 0, *shape_hw),
            shape=shape_hw,
            dtype=drawing.dtype,
            compression="zlib",
            metadata=None,
            software=False,
            **layout,
        )


class _Drawing:
    """The called cells, the surest last, and the depth that their ids need."""

    def __init__(self, prediction: ImagePrediction, calls: Calls) -> None:
        self.shape_hw = (prediction.height, prediction.width)
        self.cells = sorted(calls.cells(prediction), key=lambda each: each[1].cell_score)
        highest = max((cell_id for cell_id, _ in self.cells), default=0)
        self.dtype = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32
        self.boxes = np.array([cell.bbox_xyxy for _, cell in self.cells], int).reshape(-1, 4)

    def part(self, top: int, left: int, height: int, width: int) -> NDArray[np.unsignedinteger]:
        """Draw a part of the image."""
        labels = np.zeros((height, width), self.dtype)
        x, y, x_end, y_end = self.boxes.T
        here = (x < left + width) & (x_end > left) & (y < top + height) & (y_end > top)
        for number in np.flatnonzero(here):
            cell_id, cell = self.cells[number]
            x0, y0 = max(cell.bbox_xyxy[0], left), max(cell.bbox_xyxy[1], top)
            x1, y1 = min(cell.bbox_xyxy[2], left + width), min(cell.bbox_xyxy[3], top + height)
            runs = runs_from_counts(cell.counts, self.shape_hw)
            inside = runs.crop((x0, y0, x1 - x0, y1 - y0))
            labels[y0 - top : y1 - top, x0 - left : x1 - left][inside] = cell_id
        return labels

    def tiles(self) -> Iterator[NDArray[np.unsignedinteger]]:
        """Draw tile by tile, row by row."""
        for top in range(0, self.shape_hw[0], _TILE_PX):
            for left in range(0, self.shape_hw[1], _TILE_PX):
                yield self.part(top, left, _TILE_PX, _TILE_PX)
