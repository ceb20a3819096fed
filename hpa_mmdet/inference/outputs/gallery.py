"""An HTML page of cells, by class and falling confidence.

H, W: image height and width in pixels; C: channels.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.outputs.base import Images, Output, Pixels, RunContext
from hpa_mmdet.inference.stored_images import StoredImage
from hpa_mmdet.localizations import NAMES, NUM_LOCALIZATIONS
from hpa_mmdet.pages.compose import compose_rgb, shrink
from hpa_mmdet.pages.draw import draw_cells
from hpa_mmdet.pages.page import Page, Picture
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import CellPrediction
from hpa_mmdet.predictions.drawing import draw_cell

_THUMBNAIL_PX = 160
_MARGIN = 0.15
_LEAST_CONFIDENCE = 0.1


@dataclass(frozen=True)
class _Shown:
    """One cell of the gallery: its confidence for a class, its image, its id there."""

    confidence: float
    image_id: str
    cell_id: int


class GalleryOutput(Output):
    """gallery.html: for each class the cells most confidently of it, at 0.1 or above.

    The predictions are read once to choose the cells; then only their images are read.
    """

    names = ("gallery.html",)
    per_class = 12

    def finish(self, images: Images) -> list[str]:
        """Write the page."""
        chosen = _choose(images(), self.run.rules, self.per_class)
        pictures = _cut_out(chosen, self.run)
        page = Page("Cells by localization", f"{chosen.cells:,} cells of {chosen.images:,} images")
        page.add_table(
            ["class", "cells called", "highest confidence"],
            [
                [name, int(called), best[0].confidence if best else None]
                for name, called, best in zip(NAMES, chosen.called, chosen.best, strict=True)
            ],
            "A cell is called where p(k | cell) reaches the class's threshold. "
            "Confidence is p(cell) * p(k | cell).",
        )
        for name, best in zip(NAMES, chosen.best, strict=True):
            if not best:
                continue
            page.add_heading(name)
            shown = [cell for cell in best if (cell.image_id, cell.cell_id) in pictures]
            page.add_pictures(
                [
                    Picture(
                        pictures[cell.image_id, cell.cell_id],
                        f"{cell.confidence:.2f}  {cell.image_id}, cell {cell.cell_id}",
                    )
                    for cell in shown
                ],
                columns=6,
            )
        with self.run.writing(self.names[0]) as temporary:
            page.write(temporary)
        return []


class _Chosen(NamedTuple):
    """The best cells of each class, the images they are in, and counts over all images."""

    best: list[list[_Shown]]
    sources: dict[str, StoredImage]
    called: NDArray[np.int64]
    images: int
    cells: int


_Entry = tuple[float, int, int, _Shown]  # confidence, then earlier images and cells first


def _choose(stored: Iterable[StoredImage], rules: CallRules, per_class: int) -> _Chosen:
    heaps: list[list[_Entry]] = [[] for _ in range(NUM_LOCALIZATIONS)]
    sources: dict[str, StoredImage] = {}
    called = np.zeros(NUM_LOCALIZATIONS, np.int64)
    images = cells = 0
    for image in stored:
        images += 1
        shown = rules.cells(image.prediction)
        cells += len(shown)
        for _, cell in shown:
            called[rules.classes(cell)] += 1
        if _enter(heaps, image, shown, -images, per_class):
            sources[image.prediction.image_id] = image
        if len(sources) > 2 * per_class * NUM_LOCALIZATIONS:  # what is held stays bounded
            sources = _still_shown(heaps, sources)
    best = [[entry[3] for entry in sorted(heap, key=_rank, reverse=True)] for heap in heaps]
    return _Chosen(best, _still_shown(heaps, sources), called, images, cells)


def _enter(
    heaps: list[list[_Entry]],
    image: StoredImage,
    cells: Sequence[tuple[int, CellPrediction]],
    rank: int,
    per_class: int,
) -> bool:
    """Put the cells of an image among the best; say whether one got there."""
    entered = False
    for cell_id, cell in cells:
        for heap, score in zip(heaps, cell.class_scores.tolist(), strict=True):
            if score < _LEAST_CONFIDENCE:
                continue
            entry = (score, rank, -cell_id, _Shown(score, image.prediction.image_id, cell_id))
            if len(heap) < per_class:
                heapq.heappush(heap, entry)
            elif _rank(entry) > _rank(heap[0]):
                heapq.heapreplace(heap, entry)
            else:
                continue
            entered = True
    return entered


def _rank(entry: _Entry) -> tuple[float, int, int]:
    return entry[:3]


def _still_shown(
    heaps: Sequence[Sequence[_Entry]], sources: dict[str, StoredImage]
) -> dict[str, StoredImage]:
    shown = {entry[3].image_id for heap in heaps for entry in heap}
    return {image_id: image for image_id, image in sources.items() if image_id in shown}


def _cut_out(chosen: _Chosen, run: RunContext) -> dict[tuple[str, int], NDArray[np.uint8]]:
    """Thumbnails of the chosen cells; none where an image can no longer be read."""
    wanted = {(cell.image_id, cell.cell_id) for best in chosen.best for cell in best}
    pictures = {}
    for image_id, source in chosen.sources.items():
        try:
            pixels = run.read_pixels(source)
        except InputError:
            continue
        for cell_id, cell in run.rules.cells(source.prediction):
            if (image_id, cell_id) in wanted:
                pictures[image_id, cell_id] = _thumbnail(pixels, cell, run)
    return pictures


def _thumbnail(pixels: Pixels, cell: CellPrediction, run: RunContext) -> NDArray[np.uint8]:
    image_height, image_width = pixels.shape[:2]
    x, y, width, height = cell.bbox_xywh
    side = round(max(width, height) * (1 + 2 * _MARGIN)) + 2
    left = int(np.clip(x + width // 2 - side // 2, 0, max(image_width - side, 0)))
    top = int(np.clip(y + height // 2 - side // 2, 0, max(image_height - side, 0)))
    part, scale = shrink(pixels[top : top + side, left : left + side], _THUMBNAIL_PX)
    drawn = draw_cell(cell, run.rules)
    offset = np.array([left, top], np.float64)
    moved = replace(drawn, contours=tuple(line - offset for line in drawn.contours), lines=())
    picture = compose_rgb(part, run.channels)
    return draw_cells(picture, [moved], scale=scale, line_px=1, text_px=0)
