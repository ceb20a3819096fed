"""Cut a large image into overlapping tiles, and make one cell of its parts at the seams.

H, W: image height and width in pixels.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from hpa_mmdet.coco.mask_runs import MaskRuns, clip_runs
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.merge import FoundCell, union_runs, weighted_mean

# Parts of one cell agree where both tiles see it; two neighbours hardly share pixels there.
_SAME_IOU = 0.5
# A part that lies within a cell of the other tile is that cell's, however little of it shows.
_WITHIN_SHARE = 0.7
# A box that ends this near to a tile's edge may go on behind it.
_EDGE_PX = 4


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

    def cuts(self, runs: MaskRuns) -> bool:
        """Whether a cell found in this tile may go on behind an edge inside the image."""
        x, y, width, height = runs.bbox_xywh
        image_height, image_width = runs.shape_hw
        return (
            (self.x > 0 and x < self.x + _EDGE_PX)
            or (self.y > 0 and y < self.y + _EDGE_PX)
            or (self.right < image_width and x + width > self.right - _EDGE_PX)
            or (self.bottom < image_height and y + height > self.bottom - _EDGE_PX)
        )

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
        overlap_px: what neighbours share at least; more than a cell's diameter, so that
            each cell is whole in one of them.

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


def merge_tiles(
    tiles: Sequence[Tile], cells_of_tiles: Sequence[Sequence[FoundCell]]
) -> list[FoundCell]:
    """Make one cell of what several tiles saw of it.

    Two cells of overlapping tiles are one where their pixels in the overlap agree, or
    where one that its tile cuts lies within the other. Of a cell that is whole in a tile
    the whole one is kept (the best, where several are); parts are put together, their
    localization scores averaged by area.

    Args:
        tiles: of one image.
        cells_of_tiles: what was found in each, masks over the whole image.

    Returns:
        Each cell once, in the order of their first parts.
    """
    cells = [cell for found in cells_of_tiles for cell in found]
    tile_of = [number for number, found in enumerate(cells_of_tiles) for _ in found]
    group_of = list(range(len(cells)))
    members = {number: [number] for number in group_of}
    for _, a, b in sorted(_same(tiles, tile_of, cells), key=lambda pair: (-pair[0], *pair[1:])):
        first, second = sorted((group_of[a], group_of[b]))
        seen = [tile_of[each] for each in members[first] + members.get(second, [])]
        if first == second or len(set(seen)) < len(seen):  # two cells of one tile stay two
            continue
        for each in members.pop(second):
            members[first].append(each)
            group_of[each] = first
    return [
        _join([(tiles[tile_of[each]], cells[each]) for each in sorted(group)])
        for _, group in sorted(members.items())
    ]


def _same(
    tiles: Sequence[Tile], tile_of: Sequence[int], cells: Sequence[FoundCell]
) -> list[tuple[float, int, int]]:
    """(agreement, cell, cell) of the pairs that are one."""
    by_tile: dict[int, list[int]] = {}
    for number, tile in enumerate(tile_of):
        by_tile.setdefault(tile, []).append(number)
    pairs = []
    for one, other in combinations(sorted(by_tile), 2):
        zone = tiles[one].overlap(tiles[other])
        if zone is None:
            continue
        ours = _within(zone, by_tile[one], cells)
        theirs = _within(zone, by_tile[other], cells)
        for a, a_runs in ours:
            for b, b_runs in theirs:
                agreement = _agreement(
                    a_runs,
                    b_runs,
                    tiles[one].cuts(cells[a].runs),
                    tiles[other].cuts(cells[b].runs),
                )
                if agreement > 0:
                    pairs.append((agreement, a, b))
    return pairs


def _within(
    zone: Tile, numbers: Sequence[int], cells: Sequence[FoundCell]
) -> list[tuple[int, MaskRuns]]:
    clipped = [(number, clip_runs(cells[number].runs, zone)) for number in numbers]
    return [(number, runs) for number, runs in clipped if runs.starts.size]


def _agreement(a: MaskRuns, b: MaskRuns, a_is_cut: bool, b_is_cut: bool) -> float:
    if a.ends[-1] <= b.starts[0] or b.ends[-1] <= a.starts[0]:
        return 0.0
    union = union_runs([a, b]).area
    shared = a.area + b.area - union
    iou = shared / union
    within = (a_is_cut and shared >= _WITHIN_SHARE * a.area) or (
        b_is_cut and shared >= _WITHIN_SHARE * b.area
    )
    return iou if iou >= _SAME_IOU or within else 0.0


def _join(parts: list[tuple[Tile, FoundCell]]) -> FoundCell:
    whole = [cell for tile, cell in parts if not tile.cuts(cell.runs)]
    if len(parts) == 1:
        return parts[0][1]
    if whole:
        return max(whole, key=lambda cell: cell.cell_score)
    cells = [cell for _, cell in parts]
    areas = np.array([cell.runs.area for cell in cells], np.float64)
    return FoundCell(
        union_runs([cell.runs for cell in cells]),
        max(cell.cell_score for cell in cells),
        weighted_mean([cell.localization_scores for cell in cells], areas),
    )
