"""Cut a large image into overlapping tiles; seams.py makes one cell of its parts.

H, W: image height and width in pixels.
"""

from typing import NamedTuple

from hpa_mmdet.errors import InputError


class Tile(NamedTuple):
    """A part of an image: left, top, width, height in pixels."""

    x: int
    y: int
    width: int
    height: int

    def overlap(self, other: "Tile") -> "Tile | None":
        """The pixels of both, or None."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        x_end = min(self.x + self.width, other.x + other.width)
        y_end = min(self.y + self.height, other.y + other.height)
        return Tile(x, y, x_end - x, y_end - y) if x < x_end and y < y_end else None

    @property
    def right(self) -> int:
        """First column behind the tile."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the tile."""
        return self.y + self.height


def cut_tiles(shape_hw: tuple[int, int], tile_px: int | None, overlap_px: int) -> list[Tile]:
    """Cover an image with tiles of equal size, row by row.

    Args:
        shape_hw: height and width of the image.
        tile_px: side of a tile; None for one tile, the whole image.
        overlap_px: what neighbours share at least; best more than a cell's diameter, so
            that each cell is whole in one of them.

    Raises:
        InputError: the overlap leaves no step between tiles.

    Examples:
        >>> cut_tiles((60, 100), 60, 10)
        [Tile(x=0, y=0, width=60, height=60), Tile(x=40, y=0, width=60, height=60)]
    """
    height, width = shape_hw
    if tile_px is None:
        return [Tile(0, 0, width, height)]
    if not 0 <= overlap_px < tile_px:
        raise InputError(
            "--overlap", overlap_px, f"0 to {tile_px - 1}, less than the tile", "make it smaller"
        )
    return [
        Tile(x, y, min(tile_px, width), min(tile_px, height))
        for y in _places(height, tile_px, overlap_px)
        for x in _places(width, tile_px, overlap_px)
    ]


def _places(side: int, tile_px: int, overlap_px: int) -> list[int]:
    if side <= tile_px:
        return [0]
    steps = -(-(side - tile_px) // (tile_px - overlap_px))
    return [round(step * (side - tile_px) / steps) for step in range(steps + 1)]
