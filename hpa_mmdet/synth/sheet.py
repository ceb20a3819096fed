"""A contact sheet of the 19 localizations as the generator draws them."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.io.atomic import atomic_path, save_image
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.synth.image import render_image
from hpa_mmdet.synth.shares import LabelModel

_TILE_PX, _PIXEL_UM, _COLUMNS, _BAND_PX = 168, 0.2, 4, 18
_FIELD_PX, _TRIES = 400, 3


def write_class_sheet(path: Path, seed: int) -> None:
    """Write a picture: for each class a cell in colour and its protein channel alone.

    Colour is red for microtubules, green for the protein, blue for nuclei.
    """
    blocks = [
        _block(localization.hpa_index, localization.name, seed) for localization in LOCALIZATIONS
    ]
    blocks.append(_title(blocks[0].shape))
    rows = [np.hstack(blocks[at : at + _COLUMNS]) for at in range(0, len(blocks), _COLUMNS)]
    with atomic_path(path) as temporary:
        save_image(Image.fromarray(np.vstack(rows)), temporary, quality=78)


def _block(hpa_index: int, name: str, seed: int) -> NDArray[np.uint8]:
    tiles = [_tile(hpa_index, [seed, hpa_index, attempt]) for attempt in range(_TRIES)]
    tile = max(tiles, key=_sharpness)
    bright = np.maximum(np.quantile(tile, 0.998, axis=(0, 1)), 90)
    colour = np.clip(tile * (235 / bright), 0, 255).astype(np.uint8)
    block = np.zeros((_TILE_PX + _BAND_PX, 2 * _TILE_PX, 3), np.uint8)
    block[_BAND_PX:, :_TILE_PX] = colour
    block[_BAND_PX:, _TILE_PX:] = colour[..., 1:2]
    _write(block, f"{hpa_index} {name}", (4, _BAND_PX - 5))
    return block


def _tile(hpa_index: int, seed: list[int]) -> NDArray[np.float32]:
    """Red, green and blue around one cell that shows the class."""
    model = LabelModel(share=1.0, always=frozenset({hpa_index}))
    image = render_image(seed, (_FIELD_PX, _FIELD_PX), _PIXEL_UM, model)
    y, x = _middle_cell(image.nuclei)
    return image.channels[y : y + _TILE_PX, x : x + _TILE_PX, :3].astype(np.float32)


def _sharpness(tile: NDArray[np.float32]) -> float:
    """How steep the nucleus's edge is: out-of-focus cells show a class badly."""
    blue = cv2.GaussianBlur(tile[..., 2], (0, 0), 1.0)
    slope = np.hypot(cv2.Sobel(blue, cv2.CV_32F, 1, 0), cv2.Sobel(blue, cv2.CV_32F, 0, 1))
    return float(np.quantile(slope, 0.995) / (np.quantile(blue, 0.99) + 20))


def _middle_cell(nuclei: NDArray[np.uint16]) -> tuple[int, int]:
    """Top left corner of a tile around the nucleus nearest to the middle."""
    rows, columns = np.nonzero(nuclei)
    middle = _FIELD_PX / 2
    if not rows.size:
        return (_FIELD_PX - _TILE_PX) // 2, (_FIELD_PX - _TILE_PX) // 2
    nearest = np.hypot(rows - middle, columns - middle).argmin()
    mine = np.nonzero(nuclei == nuclei[rows[nearest], columns[nearest]])
    corner = [
        int(np.clip(pixels.mean() - _TILE_PX / 2, 0, _FIELD_PX - _TILE_PX)) for pixels in mine
    ]
    return corner[0], corner[1]


def _title(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    block = np.zeros(shape, np.uint8)
    lines = ("SYNTHETIC cells, drawn by", "tools/synthesize.py", "", "left: red microtubules,")
    for number, line in enumerate((*lines, "green protein, blue nuclei", "right: protein alone")):
        _write(block, line, (24, 44 + 22 * number))
    return block


def _write(block: NDArray[np.uint8], text: str, place_xy: tuple[int, int]) -> None:
    cv2.putText(
        block, text, place_xy, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA
    )
