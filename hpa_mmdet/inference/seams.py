"""Merge the cells that several tiles of an image show parts of.

Three things happen at the edge of a tile:
- a tile sees the rim of a cell that its neighbour has whole: the rim goes;
- the cell is larger than the overlap, so both see a part: the parts agree where both
  tiles look, and are put together;
- the overlap is next to nothing, or the parts are drawn badly there: they are put together
  where both are cut at facing edges and meet along the seam.

H, W: image height and width in pixels.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.inference.geometry import Tile
from hpa_mmdet.inference.merge import weighted_mean
from hpa_mmdet.masks.overlap import shared_pixels, union_runs
from hpa_mmdet.masks.runs import MaskRuns, clip_runs
from hpa_mmdet.predictions.cells import CellPrediction

EDGE_PX = 4
"""A box that ends this near to a tile's edge may go on behind it."""
# Parts of one cell agree where both tiles see it; two neighbours hardly share pixels there.
_SAME_IOU = 0.5
# A part that lies within a cell of the other tile is that cell's, however little of it shows.
_WITHIN_SHARE = 0.7
_RIM_SHARE = 0.5  # ... and less will do where the other tile has that cell whole,
_RIM_SCORE = 0.5  # as surely as this times the part
# Two parts meet where so much of the shorter one's seam is the other's too.
_CONTACT_SHARE = 0.6


class _Part(NamedTuple):
    """A cell as one tile saw it: the sides at which its tile may cut it, and its box."""

    tile: int
    cell: CellPrediction
    box: Tile
    left: bool
    top: bool
    right: bool
    bottom: bool

    @property
    def is_cut(self) -> bool:
        return self.left or self.top or self.right or self.bottom


def merge_tiles(
    tiles: Sequence[Tile],
    cells_of_tiles: Sequence[Sequence[CellPrediction]],
    edge_px: int = EDGE_PX,
) -> list[CellPrediction]:
    """Make one cell of what several tiles saw of it; see the module.

    Of a cell that is whole in a tile the whole one is kept (the best, where several are);
    of parts that are put together the localization scores are averaged by area, and
    p(cell) is that of the surest.

    Args:
        tiles: of one image.
        cells_of_tiles: what was found in each, masks over the whole image.
        edge_px: a box that ends this near to a tile's edge may go on behind it.

    Returns:
        Each cell once, in the order of their first parts.
    """
    parts = [
        _part_of(number, tiles[number], cell, edge_px)
        for number, found in enumerate(cells_of_tiles)
        for cell in found
        if cell.runs.starts.size
    ]
    pairs, rims = _compare(tiles, parts, edge_px)
    group_of = list(range(len(parts)))
    members = {number: [number] for number in group_of if number not in rims}
    for _, a, b in sorted(pairs, key=lambda pair: (-pair[0], *pair[1:])):
        if a in rims or b in rims:
            continue
        first, second = sorted((group_of[a], group_of[b]))
        seen = [parts[part].tile for part in members[first] + members.get(second, [])]
        if first == second or len(set(seen)) < len(seen):  # two cells of one tile stay two
            continue
        for part in members.pop(second):
            members[first].append(part)
            group_of[part] = first
    groups = [sorted(group) for _, group in sorted(members.items())]
    return [_join([parts[part] for part in group]) for group in groups]


def _part_of(number: int, tile: Tile, cell: CellPrediction, edge_px: int) -> _Part:
    box = Tile(*cell.runs.bbox_xywh)
    height, width = cell.runs.shape_hw
    return _Part(
        number,
        cell,
        box,
        left=tile.x > 0 and box.x < tile.x + edge_px,
        top=tile.y > 0 and box.y < tile.y + edge_px,
        right=tile.right < width and box.right > tile.right - edge_px,
        bottom=tile.bottom < height and box.bottom > tile.bottom - edge_px,
    )


def _compare(
    tiles: Sequence[Tile], parts: Sequence[_Part], edge_px: int
) -> tuple[list[tuple[float, int, int]], set[int]]:
    """(agreement, part, part) of the pairs that are one cell, and the rims of whole ones.

    Agreement is above 1 where pixels agree, and up to 1 where parts only meet.
    """
    pairs: list[tuple[float, int, int]] = []
    rims: set[int] = set()
    for a, b in _pairs_that_meet(tiles, parts, edge_px):
        one, other = parts[a], parts[b]
        zone = tiles[one.tile].overlap(tiles[other.tile])
        agreement = 0.0
        if zone is not None:
            ours, theirs = clip_runs(one.cell.runs, zone), clip_runs(other.cell.runs, zone)
            shared = shared_pixels(ours, theirs)
            if shared and _is_rim(one, other, shared):
                rims.add(a)
            elif shared and _is_rim(other, one, shared):
                rims.add(b)
            elif shared:
                agreement = _agreement(one, ours.area, other, theirs.area, shared)
        agreement = agreement or _contact(tiles, one, other, edge_px)
        if agreement > 0:
            pairs.append((agreement, a, b))
    return pairs, rims


def _pairs_that_meet(
    tiles: Sequence[Tile], parts: Sequence[_Part], edge_px: int
) -> Iterator[tuple[int, int]]:
    """Parts of two tiles that overlap or lie side by side, whose boxes come near."""
    by_tile: dict[int, list[int]] = {}
    for number, part in enumerate(parts):
        by_tile.setdefault(part.tile, []).append(number)
    for one, other in combinations(sorted(by_tile), 2):
        if not _meet(tiles[one], tiles[other], edge_px):
            continue
        near = [b for b in by_tile[other] if _meet(parts[b].box, tiles[one], edge_px)]
        for a in by_tile[one]:
            if _meet(parts[a].box, tiles[other], edge_px):
                yield from ((a, b) for b in near if _meet(parts[a].box, parts[b].box, 2 * edge_px))


def _meet(a: Tile, b: Tile, edge_px: int) -> bool:
    x, y = max(a.x, b.x), max(a.y, b.y)
    return x < min(a.right, b.right) + edge_px and y < min(a.bottom, b.bottom) + edge_px


def _is_rim(part: _Part, whole: _Part, shared: int) -> bool:
    """Whether a tile's part is of a cell that the other tile has whole."""
    return (
        part.is_cut
        and not whole.is_cut
        and shared >= _RIM_SHARE * part.cell.runs.area
        and whole.cell.cell_score >= _RIM_SCORE * part.cell.cell_score
    )


def _agreement(one: _Part, area: int, other: _Part, other_area: int, shared: int) -> float:
    """1 + IoU where both tiles look, if that says that the two are one; else 0."""
    iou = shared / (area + other_area - shared)
    within = (one.is_cut and shared >= _WITHIN_SHARE * area) or (
        other.is_cut and shared >= _WITHIN_SHARE * other_area
    )
    return 1.0 + iou if iou >= _SAME_IOU or within else 0.0


def _contact(tiles: Sequence[Tile], one: _Part, other: _Part, edge_px: int) -> float:
    """How much of the seam between two tiles of a row or column both parts hold, 0 to 1."""
    first, second = tiles[one.tile], tiles[other.tile]
    if first.y == second.y and one.right and other.left:
        low, high = sorted((first.right, second.x))
        band = Tile(low - edge_px, 0, high - low + 2 * edge_px, one.cell.runs.shape_hw[0])
        ours, theirs = (_rows_of(part.cell.runs, band) for part in (one, other))
    elif first.x == second.x and one.bottom and other.top:
        low, high = sorted((first.bottom, second.y))
        band = Tile(0, low - edge_px, one.cell.runs.shape_hw[1], high - low + 2 * edge_px)
        ours, theirs = (_columns_of(part.cell.runs, band) for part in (one, other))
    else:
        return 0.0
    shared = np.intersect1d(ours, theirs, assume_unique=True).size
    shorter = min(ours.size, theirs.size)
    if not shorter or shared < _CONTACT_SHARE * shorter:
        return 0.0
    return shared / (ours.size + theirs.size - shared)


def _columns_of(runs: MaskRuns, band: Tile) -> NDArray[np.int64]:
    inside = clip_runs(runs, band).split_at_columns()
    return np.unique(inside.starts // runs.shape_hw[0])


def _rows_of(runs: MaskRuns, band: Tile) -> NDArray[np.int64]:
    inside = clip_runs(runs, band).split_at_columns()
    if not inside.starts.size:
        return inside.starts
    height = runs.shape_hw[0]
    starts = inside.starts % height
    ends = starts + inside.ends - inside.starts
    top = starts.min()
    steps = np.zeros(ends.max() - top + 1, np.int64)
    np.add.at(steps, starts - top, 1)
    np.add.at(steps, ends - top, -1)
    return np.flatnonzero(np.cumsum(steps)) + top


def _join(parts: Sequence[_Part]) -> CellPrediction:
    if len(parts) == 1:
        return parts[0].cell
    whole = [part.cell for part in parts if not part.is_cut]
    if whole:
        return max(whole, key=lambda cell: cell.cell_score)
    cells = [part.cell for part in parts]
    areas = np.array([cell.runs.area for cell in cells], np.float64)
    return CellPrediction.of_runs(
        union_runs([cell.runs for cell in cells]),
        max(cell.cell_score for cell in cells),
        weighted_mean([cell.localization_scores for cell in cells], areas),
    )
