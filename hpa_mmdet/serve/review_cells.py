"""The cells of a review: predictions of tools/infer.py, and the pictures around each cell.

H, W: height and width of a part of an image in pixels; C: channels. K = 19 localizations.
"""

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.store import read_folder
from hpa_mmdet.inference.stored_images import StoredImage
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.io.decisions import CellKey
from hpa_mmdet.io.label_sets import LabelSet
from hpa_mmdet.io.large_images import LargeImage, open_channels
from hpa_mmdet.pages.compose import compose_rgb, shrink
from hpa_mmdet.pages.draw import draw_cells, outline
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import CellPrediction

_KEPT_IMAGES = 4
_MARGIN = 0.75  # of the cell's longer side, on each side
_LEAST_MARGIN_PX = 24
_THUMBNAIL_PX = 168


class Surroundings(NamedTuple):
    """A part of an image around a cell.

    Args:
        box_xyxy: in the image; right and bottom are the first pixels outside.
        pixels: (H, W, C) as stored.
        channels: their names.
        labels: (H, W) uint16: 1 is the cell, 2 and more its neighbours, 0 none.
    """

    box_xyxy: tuple[int, int, int, int]
    pixels: NDArray[np.integer]
    channels: tuple[str, ...]
    labels: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class ReviewCell:
    """One cell to be looked at.

    Args:
        image: the prediction it is from.
        cell_id: its value in the label image.
        cell: what was predicted.
        called: classes of the prediction, the likeliest first; never empty.
    """

    image: StoredImage
    cell_id: int
    cell: CellPrediction
    called: tuple[int, ...]

    @property
    def key(self) -> CellKey:
        """Image id and cell id."""
        return self.image.prediction.image_id, self.cell_id

    @property
    def doubt(self) -> float:
        """Sum of the entropies of the K answers, in nats: high where the model is unsure."""
        p = np.clip(self.cell.localization_scores.astype(np.float64), 1e-6, 1 - 1e-6)
        return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).sum())


class ReviewCells:
    """All cells of a folder of predictions that count, by image and cell id.

    Args:
        predictions: --out of tools/infer.py.
        images: the folder that was predicted.
        rules: which cells count and what the model says of them.
        image_labels: what is known of whole images, by image id.

    Raises:
        InputError: there are no predictions, or none of them has a cell.
    """

    def __init__(
        self,
        predictions: Path,
        images: Path,
        rules: CallRules,
        image_labels: Mapping[str, LabelSet] | None = None,
    ) -> None:
        self._images, self._rules = images, rules
        self._image_labels = image_labels or {}
        self.by_key: dict[CellKey, ReviewCell] = {}
        self._of_image: dict[str, list[ReviewCell]] = {}
        for stored in read_folder(predictions):
            cells = [
                _review_cell(stored, *found, rules) for found in rules.cells(stored.prediction)
            ]
            self._of_image[stored.prediction.image_id] = cells
            self.by_key |= {cell.key: cell for cell in cells}
        if not self.by_key:
            raise InputError(
                predictions,
                problem="holds no cell to review",
                remedy="give predictions with cells, or a lower --call-score",
            )
        self._opened: LRUCache[str, NDArray[np.integer] | LargeImage] = LRUCache(_KEPT_IMAGES)
        self._lock = threading.Lock()

    def labels_of_image(self, cell: ReviewCell) -> tuple[LabelSet, str]:
        """What the cell's image shows, and who says so: "table", "model" or ""."""
        prediction = cell.image.prediction
        if prediction.image_id in self._image_labels:
            return self._image_labels[prediction.image_id], "table"
        if prediction.image_probs is None:
            return (), ""
        likely = prediction.image_probs >= np.asarray(self._rules.thresholds)
        return tuple(int(k) for k in np.flatnonzero(likely)), "model"

    def box_of(self, cell: ReviewCell) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a cell's surroundings."""
        prediction = cell.image.prediction
        return _box_around(cell.cell, prediction.shape_hw)

    def channels_of(self, cell: ReviewCell) -> tuple[str, ...]:
        """The channels of a cell's image."""
        return tuple(name for name in CHANNELS if name in cell.image.files)

    def part(self, cell: ReviewCell) -> Surroundings:
        """Read the surroundings of a cell.

        Raises:
            InputError: the image's files are not where they were.
        """
        prediction = cell.image.prediction
        left, top, right, bottom = box = self.box_of(cell)
        channels = self.channels_of(cell)
        with self._lock:
            pixels = self._open(cell.image, channels)[top:bottom, left:right]
        labels = np.zeros((bottom - top, right - left), np.uint16)
        others = [other for other in self._of_image[prediction.image_id] if other is not cell]
        for number, other in enumerate([*others, cell], start=2):
            x, y, x_end, y_end = other.cell.bbox_xyxy
            if x >= right or y >= bottom or x_end <= left or y_end <= top:
                continue
            inside = other.cell.runs.crop((left, top, right - left, bottom - top))
            labels[inside] = 1 if other is cell else number
        return Surroundings(box, pixels, channels, labels)

    def thumbnail(self, cell: ReviewCell) -> bytes:
        """Draw a cell with its outline as PNG.

        Raises:
            InputError: as `part`.
        """
        part = self.part(cell)
        small, scale = shrink(part.pixels, _THUMBNAIL_PX)
        picture = compose_rgb(small, part.channels)
        x, y = part.box_xyxy[:2]
        left, top = cell.cell.bbox_xywh[:2]
        drawn = outline(cell.cell.runs.crop(), (left - x, top - y))
        picture = draw_cells(picture, [drawn], scale=scale, line_px=1, text_px=0)
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "png", compress_level=3)
        return out.getvalue()

    def _open(
        self, stored: StoredImage, channels: Sequence[str]
    ) -> NDArray[np.integer] | LargeImage:
        image_id = stored.prediction.image_id
        image = self._opened.get(image_id)
        if image is None:
            image = open_channels(stored.image_files(self._images), channels)
            self._opened[image_id] = image
        return image


def _review_cell(
    stored: StoredImage, cell_id: int, cell: CellPrediction, rules: CallRules
) -> ReviewCell:
    called = rules.classes(cell) or [int(cell.localization_scores.argmax())]
    return ReviewCell(stored, cell_id, cell, tuple(called))


def _box_around(cell: CellPrediction, shape_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square around a cell, inside the image."""
    x, y, width, height = cell.bbox_xywh
    side = max(width, height) + 2 * max(_LEAST_MARGIN_PX, round(_MARGIN * max(width, height)))
    left = int(np.clip(x + width // 2 - side // 2, 0, max(shape_hw[1] - side, 0)))
    top = int(np.clip(y + height // 2 - side // 2, 0, max(shape_hw[0] - side, 0)))
    return left, top, min(left + side, shape_hw[1]), min(top + side, shape_hw[0])
