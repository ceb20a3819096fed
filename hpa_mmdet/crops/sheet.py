"""Contact sheets of a store: for each class, cells raw, cleaned and masked side by side.

So that the choice of cleaning and masking is seen and not guessed.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hpa_mmdet.crops.cut import cut_prepared, prepare_cells
from hpa_mmdet.crops.sources import SourceOptions, open_source
from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.io.atomic import atomic_path, save_image
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.localizations import LOCALIZATIONS, NUM_LOCALIZATIONS
from hpa_mmdet.pages.compose import compose_rgb
from hpa_mmdet.pages.draw import label_font

FOLDER = "sheets"
TILE_PX, GAP_PX, BAND_PX = 192, 4, 22
TILE_TITLES: tuple[str, ...] = ("colour", "raw", "cleaned", "cleaned and masked")


def write_sheets(store: CropStore, source: SourceOptions, cells_per_class: int) -> Path:
    """Write `sheets/<index>_<name>.jpg` into a store's folder, for each class that it has.

    Each row is a cell: its surroundings in colour, then its green channel as stored, with
    its background subtracted, and with everything but the cell blanked as well. Cells are
    spread evenly over the store. A store without green shows its first channel.

    Returns:
        The folder.

    Raises:
        InputError: an image cannot be read.
    """
    folder = store.path / FOLDER
    for hpa_index in range(NUM_LOCALIZATIONS):
        crops = np.flatnonzero(store.cells.localizations[:, hpa_index] > 0)
        if not crops.size:
            continue
        places = np.linspace(0, len(crops) - 1, min(cells_per_class, len(crops))).round()
        rows = [_draw_row(store, source, int(crops[int(at)])) for at in places]
        name = LOCALIZATIONS[hpa_index].name
        path = folder / f"{hpa_index:02}_{name.replace(' ', '_').lower()}.jpg"
        title = f"{name}: {len(crops):,} crops of {len(store):,}"
        with atomic_path(path) as temporary:
            save_image(Image.fromarray(_put_together(title, rows)), temporary, quality=85)
    return folder


def _draw_row(store: CropStore, options: SourceOptions, crop: int) -> NDArray[np.uint8]:
    source = open_source(options)
    hpa_id = store.images.hpa_ids[int(store.cells.images[crop])]
    image = source.image(source.ids.index(hpa_id))
    names = tuple(image.files.paths)
    whole, shape_hw = image.read_cells()
    planes = dict(image.planes(names, shape_hw))
    nuclei = None if image.nuclei is None else read_label_image(image.nuclei)
    cells = [cell for cell in whole if cell.cell_id == int(store.cells.cell_ids[crop])]
    kept = prepare_cells(cells, store.options, nuclei)
    shown = "green" if "green" in store.options.channels else store.options.image_channels[0]
    around = replace(store.options, blank=False, size_px=TILE_PX, margin=0.15, clean_green=False)
    raw = replace(around, channels=(shown,), margin=store.options.margin)
    cleaned = replace(raw, clean_green=shown == "green")
    masked = replace(cleaned, blank=True)
    colour = cut_prepared(planes, kept, replace(around, channels=names)).pixels[0]
    tiles = [compose_rgb(colour, names)]
    for look in (raw, cleaned, masked):
        tile = cut_prepared(planes, kept, look).pixels[0]
        tiles.append(np.repeat(tile, 3, axis=2))
    tiles[1] = _brighten(tiles[1])
    return np.hstack([_frame(tile) for tile in tiles])


def _brighten(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch a raw tile to its own maximum, or nothing of a dim image could be seen."""
    return np.asarray(cv2.convertScaleAbs(tile, alpha=255 / max(1, int(tile.max()))))


def _frame(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.pad(tile, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=48)


def _put_together(title: str, rows: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    sheet = np.vstack([np.full((2 * BAND_PX, rows[0].shape[1], 3), 24, np.uint8), *rows])
    canvas = Image.fromarray(sheet)
    pen = ImageDraw.Draw(canvas)
    font = label_font(13)
    pen.text((6, 3), title, font=font, fill=(235, 235, 235))
    for at, words in enumerate(TILE_TITLES):
        pen.text((at * (TILE_PX + GAP_PX) + 6, BAND_PX + 3), words, font=font, fill=(180, 180, 180))
    return np.asarray(canvas)
