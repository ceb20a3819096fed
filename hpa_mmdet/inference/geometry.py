"""Where the views of an image lie: tiles of it, and the symmetries of the square.

H, W: image height and width in pixels; N: cells; m: side of a predicted mask.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError


class Symmetry(NamedTuple):
    """One of the square's eight symmetries: transposed first, then mirrored."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Move (H, W, ...) pixels; a view is returned."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def undo_boxes(
        self, boxes_xyxy: NDArray[np.floating], moved_hw: tuple[int, int]
    ) -> NDArray[np.floating]:
        """Bring (N, 4) boxes back that were found in a moved image of size `moved_hw`."""
        x, y = boxes_xyxy[:, [0, 2]], boxes_xyxy[:, [1, 3]]
        if self.flip_x:
            x = moved_hw[1] - x[:, ::-1]
        if self.flip_y:
            y = moved_hw[0] - y[:, ::-1]
        if self.transpose:
            x, y = y, x
        return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)

    def undo_masks(self, masks: NDArray[Any]) -> NDArray[Any]:
        """Bring (N, m, m) masks back; a view is returned."""
        masks = masks[:, :: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return masks.swapaxes(1, 2) if self.transpose else masks


_FLIPS = tuple(Symmetry(False, x, y) for y in (False, True) for x in (False, True))
SYMMETRIES: dict[str, tuple[Symmetry, ...]] = {
    "none": _FLIPS[:1],
    "flips": _FLIPS,
    "d4": (*_FLIPS, *(symmetry._replace(transpose=True) for symmetry in _FLIPS)),
}
"""By the name of a test-time augmentation; each begins with the image as it is."""


def symmetries_named(name: str) -> tuple[Symmetry, ...]:
    """Look up the symmetries of a test-time augmentation.

    Raises:
        InputError: it has another name.
    """
    if name not in SYMMETRIES:
        raise InputError("--tta", repr(name), ", ".join(SYMMETRIES), "choose one of them")
    return SYMMETRIES[name]


class Tile(NamedTuple):
    """A part of an image: left, top, width, height in pixels."""

    x: int
    y: int
    width: int
    height: int

    def overlap(self, other: "Tile") -> "Tile | None":
        """The pixels of both, or None."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        x_end = min(self.right, other.right)
        y_end = min(self.bottom, other.bottom)
        return Tile(x, y, x_end - x, y_end - y) if x < x_end and y < y_end else None

    @property
    def right(self) -> int:
        """First column behind the tile."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the tile."""
        return self.y + self.height

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, to index an image with."""
        return slice(self.y, self.bottom), slice(self.x, self.right)


def cut_tiles(shape_hw: tuple[int, int], tile_px: int | None, overlap_px: int) -> list[Tile]:
    """Cover an image with tiles of equal size, row by row.

    Args:
        shape_hw: height and width of the image.
        tile_px: side of a tile; None for one tile, the whole image.
        overlap_px: what neighbours share at least; best more than a cell's diameter, so
            that each cell is whole in one of them.

    Raises:
        InputError: the tile has no pixels, or the overlap leaves no step between tiles.

    Examples:
        >>> cut_tiles((60, 100), 60, 10)
        [Tile(x=0, y=0, width=60, height=60), Tile(x=40, y=0, width=60, height=60)]
    """
    height, width = shape_hw
    if tile_px is None:
        return [Tile(0, 0, width, height)]
    if tile_px < 1:
        raise InputError("--tile", tile_px, "1 or more pixels", "leave it out to show images whole")
    if not 0 <= overlap_px < tile_px:
        raise InputError(
            "--overlap", overlap_px, f"0 to {tile_px - 1}, less than the tile", "make it smaller"
        )
    return [
        Tile(x, y, min(tile_px, width), min(tile_px, height))
        for y in _starts(height, tile_px, overlap_px)
        for x in _starts(width, tile_px, overlap_px)
    ]


def _starts(side: int, tile_px: int, overlap_px: int) -> list[int]:
    if side <= tile_px:
        return [0]
    steps = -(-(side - tile_px) // (tile_px - overlap_px))
    return [round(step * (side - tile_px) / steps) for step in range(steps + 1)]
