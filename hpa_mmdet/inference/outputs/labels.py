"""Predictions as label TIFFs, which napari and Fiji open."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from hpa_mmdet.inference.outputs.base import ImageOutput, Pixels
from hpa_mmdet.io import large_images
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import ImagePrediction

_TILE_PX = 512


class LabelsOutput(ImageOutput):
    """labels/<id>.tif: the called cells; where they overlap the surer one is on top.

    (H, W) uint16, or uint32 where an id needs it; 0 is background, a cell's value is its
    `cell_id` of the table. That of a large image is drawn and written in tiles, and never
    whole in memory.
    """

    folder, suffix, needs_pixels = "labels", ".tif", False

    def write(self, prediction: ImagePrediction, pixels: Pixels | None) -> None:
        """Write the label image of one image."""
        drawing = _Drawing(prediction, self.run.rules)
        height, width = prediction.shape_hw
        in_tiles = height * width > large_images.LARGE_PIXELS
        layout: dict[str, Any] = {"tile": (_TILE_PX, _TILE_PX), "maxworkers": 1} if in_tiles else {}
        with self.run.writing(self.name_of(prediction.image_id)) as temporary:
            tifffile.imwrite(
                temporary,
                drawing.tiles() if in_tiles else drawing.part(0, 0, height, width),
                shape=(height, width),
                dtype=drawing.dtype,
                compression="zlib",
                metadata=None,
                software=False,
                **layout,
            )


class _Drawing:
    """The called cells, the surest last, and the depth that their ids need."""

    def __init__(self, prediction: ImagePrediction, rules: CallRules) -> None:
        self.shape_hw = prediction.shape_hw
        self.cells = sorted(rules.cells(prediction), key=lambda pair: pair[1].cell_score)
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
            inside = cell.runs.crop((x0, y0, x1 - x0, y1 - y0))
            labels[y0 - top : y1 - top, x0 - left : x1 - left][inside] = cell_id
        return labels

    def tiles(self) -> Iterator[NDArray[np.unsignedinteger]]:
        """Draw tile by tile, row by row."""
        for top in range(0, self.shape_hw[0], _TILE_PX):
            for left in range(0, self.shape_hw[1], _TILE_PX):
                yield self.part(top, left, _TILE_PX, _TILE_PX)
