"""An HTML page of cells, by class and falling confidence.

H, W: image height and width in pixels; C: channels.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cells import CellPrediction
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.inference.outputs.pictures import drawn_cell
from hpa_mmdet.inference.store import StoredImage
from hpa_mmdet.io.large_images import LargeImage, open_channels
from hpa_mmdet.localizations import LOCALIZATIONS, NUM_LOCALIZATIONS
from hpa_mmdet.pages.compose import compose_rgb, shrink
from hpa_mmdet.pages.draw import draw_cells
from hpa_mmdet.pages.page import Page, Picture

_THUMBNAIL_PX = 160
_MARGIN = 0.15
_LEAST_CONFIDENCE = 0.1


@dataclass(frozen=True)
class Shown:
    """One cell of the gallery: its confidence for a class, its image, its id there."""

    confidence: float
    image_id: str
    cell_id: int


def write_gallery(
    path: Path,
    stored: Iterable[StoredImage],
    images: Path,
    channels: Sequence[str],
    calls: Calls,
    per_class: int = 12,
) -> None:
    """Write the page: for each class the cells most confidently of it, at 0.1 or above.

    The predictions are read once to choose the cells; then only their images are read.

    Args:
        path: the HTML file.
        stored: predictions, an image at a time.
        images: folder of the channel files.
        channels: of the pictures.
        calls: which cells count, and for which classes.
        per_class: how many cells a class shows.
    """
    chosen = _choose(stored, calls, per_class)
    best = chosen.best
    pictures = _cut_out(chosen, images, channels, calls)
    page = Page("Cells by localization", f"{chosen.cells:,} cells of {chosen.images:,} images")
    page.add_table(
        ["class", "cells called", "highest confidence"],
        [
            [
                each.name,
                int(chosen.called[each.hpa_index]),
                best[each.hpa_index][0].confidence if best[each.hpa_index] else None,
            ]
            for each in LOCALIZATIONS
        ],
        "A cell is called where p(k | cell) reaches the class's threshold. "
        "Confidence is p(cell) * p(k | cell).",
    )
    for localization in LOCALIZATIONS:
        shown = best[localization.hpa_index]
        if not shown:
            continue
        page.add_heading(localization.name)
        page.add_pictures(
            [
                Picture(
                    pictures[each.image_id, each.cell_id],
                    f"{each.confidence:.2f}  {each.image_id}, cell {each.cell_id}",
                )
                for each in shown
                if (each.image_id, each.cell_id) in pictures
            ],
            columns=6,
        )
    page.write(path)


class _Chosen(NamedTuple):
    """The best cells of each class, the images they are in, and counts over all images."""

    best: list[list[Shown]]
    sources: dict[str, StoredImage]
    called: NDArray[np.int64]
    images: int
    cells: int


_Entry = tuple[float, int, int, Shown]  # confidence, then earlier images and cells first


def _choose(stored: Iterable[StoredImage], calls: Calls, per_class: int) -> _Chosen:
    heaps: list[list[_Entry]] = [[] for _ in range(NUM_LOCALIZATIONS)]
    sources: dict[str, StoredImage] = {}
    called = np.zeros(NUM_LOCALIZATIONS, np.int64)
    images = cells = 0
    for image in stored:
        images += 1
        shown = calls.cells(image.prediction)
        cells += len(shown)
        for _, cell in shown:
            called[calls.classes(cell)] += 1
        if _enter(heaps, image, shown, -images, per_class):
            sources[image.prediction.image_id] = image
        if len(sources) > 2 * per_class * NUM_LOCALIZATIONS:  # what is held stays bounded
            sources = _still_shown(heaps, sources)
    best = [[each[3] for each in sorted(heap, key=_rank, reverse=True)] for heap in heaps]
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
            entry = (score, rank, -cell_id, Shown(score, image.prediction.image_id, cell_id))
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


def _cut_out(
    chosen: _Chosen,
    images: Path,
    channels: Sequence[str],
    calls: Calls,
) -> dict[tuple[str, int], NDArray[np.uint8]]:
    """Thumbnails of the chosen cells; none where an image can no longer be read."""
    wanted: dict[str, set[int]] = {}
    for shown in chosen.best:
        for each in shown:
            wanted.setdefault(each.image_id, set()).add(each.cell_id)
    pictures = {}
    for image_id, source in chosen.sources.items():
        try:
            image = open_channels(source.image_files(images), channels)
        except InputError:
            continue
        for cell_id, cell in calls.cells(source.prediction):
            if cell_id in wanted[image_id]:
                pictures[image_id, cell_id] = _thumbnail(image, cell, channels, calls)
    return pictures


def _thumbnail(
    image: NDArray[np.integer] | LargeImage,
    cell: CellPrediction,
    channels: Sequence[str],
    calls: Calls,
) -> NDArray[np.uint8]:
    image_height, image_width = image.shape[:2]
    x, y, width, height = cell.bbox_xywh
    side = round(max(width, height) * (1 + 2 * _MARGIN)) + 2
    left = int(np.clip(x + width // 2 - side // 2, 0, max(image_width - side, 0)))
    top = int(np.clip(y + height // 2 - side // 2, 0, max(image_height - side, 0)))
    part, scale = shrink(image[top : top + side, left : left + side], _THUMBNAIL_PX)
    drawn = drawn_cell(cell, (image_height, image_width), calls)
    offset = np.array([left, top], np.float64)
    moved = replace(drawn, contours=tuple(line - offset for line in drawn.contours), lines=())
    return draw_cells(compose_rgb(part, channels), [moved], scale=scale, line_px=1, text_px=0)
