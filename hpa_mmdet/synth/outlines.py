"""Where cells lie and what outline they have: patches of crowded cells and lone ones.

H, W: image height and width in pixels. Positions are (row, column) in micrometres.
Cell sizes follow real ones: 2,060 hand-corrected HPA cells have a median area of 840 um2
(quartiles 570 and 1,220), a length 1.75 times their width (quartiles 1.4 and 2.25), and
cover half of the image (quartiles 0.38 and 0.65).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from hpa_mmdet.synth.cell_line import CellLine

MARGIN_UM = 1.5  # how far outside the image a cell's centre may lie
_TURNS = np.linspace(0, 2 * np.pi, 257)
_FINE = 2048
Profile = NDArray[np.float64]


@dataclass
class Outline:
    """One cell before it meets its neighbours.

    Args:
        centre_um: (2,) where its nucleus is.
        cell_um: (257,) distance of the border from the centre, for angles from 0 to 2 pi.
        nucleus_um: (257,) the same for the nucleus.
        mitotic: whether it divides.
    """

    centre_um: NDArray[np.float64]
    cell_um: Profile
    nucleus_um: Profile
    mitotic: bool = False

    @property
    def reach_um(self) -> float:
        """The farthest point of the border from the centre."""
        return float(self.cell_um.max())

    def dividing(self, rng: np.random.Generator) -> "Outline":
        """The same cell rounded up for mitosis, its chromosomes in a plate."""
        radius = min(float(self.nucleus_um.mean()) * rng.uniform(1.2, 1.45), 10.5)
        cell = radius * (1 + 0.03 * _waves(rng, 2, 4))
        return Outline(self.centre_um, cell, make_plate(rng, radius), True)


def make_plate(rng: np.random.Generator, radius_um: float) -> Profile:
    """Outline of a dividing cell's chromosomes, seen from the side or not yet in line."""
    long, short = radius_um * 0.55, max(0.2 * radius_um, 1.2)
    if rng.random() < 0.3:
        short = long * rng.uniform(0.6, 0.9)
    return _ellipse(long, short, rng.uniform(0, np.pi)) * (1 + 0.09 * _waves(rng, 3, 12))


def wobbly_ellipse(
    rng: np.random.Generator, radius_um: float, oval: float, axis_rad: float
) -> Profile:
    """Outline of a nucleus: `oval` is its length over its width; some are dented."""
    profile = _ellipse(radius_um * np.sqrt(oval), radius_um / np.sqrt(oval), axis_rad)
    profile = profile * (1 + rng.uniform(0.01, 0.035) * _waves(rng, 2, 7))
    if rng.random() < 0.1:
        profile = profile * (1 - rng.uniform(0.15, 0.45) * _bump(rng.uniform(0, 2 * np.pi), 9))
    return profile


def paint_profile(
    profile: Profile, centre_um: NDArray[np.float64], shape_hw: tuple[int, int], pixel_um: float
) -> NDArray[np.bool_]:
    """(H, W) the pixels inside an outline around a centre."""
    whole = (slice(0, shape_hw[0]), slice(0, shape_hw[1]))
    far, turn = _polar(centre_um, whole, pixel_um)
    return np.asarray(far < _fine(profile)[turn])


def scatter_outlines(
    rng: np.random.Generator, size_um: tuple[float, float], line: CellLine
) -> list[Outline]:
    """Place cells in a field, most of them in patches where they touch.

    Args:
        rng: decides everything.
        size_um: height and width of the field.
        line: size and shape that they share.
    """
    field = float(np.prod(size_um))
    cover = rng.uniform(0.22, 0.72)
    clumping = float(rng.choice([0.3, 0.8, 0.95]))
    along = float(rng.uniform(0, np.pi))
    placed: list[Outline] = []
    covered = 0.0
    for _ in range(int(4 * field / 700) + 8):
        new = _outline(rng, line, along)
        for _ in range(8):
            new.centre_um = _centre(rng, size_um, placed, new, clumping)
            if not any(_too_close(new, other) for other in placed):
                placed.append(new)
                covered += float((new.cell_um**2).mean() * np.pi)
                break
        if covered > cover * field:
            break
    for cell in placed:
        cell.cell_um = cell.cell_um * line.squeeze
    return placed


def paint_outlines(
    outlines: list[Outline], shape_hw: tuple[int, int], pixel_um: float
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Let the cells share out the pixels: each pixel goes to the cell it is deepest in.

    Returns:
        (H, W) label images of cells and of nuclei; cell k is `outlines[k - 1]`. Cells that
        got no nucleus in the image are left out of both.
    """
    nearest = np.ones(shape_hw, np.float32)
    cells = np.zeros(shape_hw, np.uint16)
    nuclei = np.zeros(shape_hw, np.uint16)
    for number, outline in enumerate(outlines, start=1):
        reach = outline.reach_um + 2.0
        box = _box(outline.centre_um, reach, shape_hw, pixel_um)
        if box[0].start >= box[0].stop or box[1].start >= box[1].stop:
            continue
        far, turn = _polar(outline.centre_um, box, pixel_um)
        in_cell = far / _fine(outline.cell_um)[turn]
        in_nucleus = far / _fine(outline.nucleus_um)[turn]
        np.minimum(in_cell, np.float32(0.3) * in_nucleus, out=in_cell, where=in_nucleus < 1.12)
        won = in_cell < nearest[box]
        nearest[box][won] = in_cell[won]
        cells[box][won] = number
        nuclei[box][won & (in_nucleus < 1)] = number
    return _whole_cells(cells, nuclei)


def _polar(
    centre_um: NDArray[np.float64], box: tuple[slice, slice], pixel_um: float
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Distance from the centre in um and direction as an index into `_fine`, per pixel."""
    rows = (np.arange(box[0].start, box[0].stop) + 0.5) * pixel_um - centre_um[0]
    columns = (np.arange(box[1].start, box[1].stop) + 0.5) * pixel_um - centre_um[1]
    x, y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    far, turn = cv2.cartToPolar(x, y)
    index = np.minimum(turn * np.float32(_FINE / (2 * np.pi)), _FINE - 1)
    return np.asarray(far, np.float32), index.astype(np.intp)


def _fine(profile: Profile) -> NDArray[np.float32]:
    """The outline at the many directions that pixels can have."""
    turns = (np.arange(_FINE) + 0.5) * (2 * np.pi / _FINE)
    return np.interp(turns, _TURNS, profile).astype(np.float32)


def _whole_cells(
    cells: NDArray[np.uint16], nuclei: NDArray[np.uint16]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Keep of each cell the one part that holds its nucleus; drop cells without any."""
    for number, box in enumerate(find_objects(cells), start=1):
        if box is None:
            continue
        mine = cells[box] == number
        mine = cv2.morphologyEx(mine.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, parts = cv2.connectedComponents(mine, connectivity=4)
        inside = parts[(nuclei[box] == number) & (parts > 0)]
        cells[box][cells[box] == number] = 0
        nucleus = nuclei[box] == number
        nuclei[box][nucleus] = 0
        if inside.size >= 12:
            whole = parts == np.bincount(inside).argmax()
            cells[box][whole] = number
            nuclei[box][whole & nucleus] = number
    return cells, nuclei


def _outline(rng: np.random.Generator, line: CellLine, along: float) -> Outline:
    """Make one cell around the origin."""
    area = 740 * line.size**2 * np.exp(rng.normal(0, 0.38))
    long = np.exp(abs(rng.normal(0, line.stretch)) + 0.1)
    axis = along + rng.uniform(-np.pi / 2, np.pi / 2) * (1 - line.aligned)
    base = np.sqrt(area / np.pi)
    cell = _ellipse(base * np.sqrt(long), base / np.sqrt(long), axis)
    for _ in range(rng.poisson(line.corners)):
        sharp = rng.uniform(4, 40)
        cell = cell * (1 + rng.uniform(0.15, 0.75) * _bump(rng.uniform(0, 2 * np.pi), sharp))
    for end in (0, np.pi):  # stretched cells run out into tails
        if rng.random() < 0.25 * (long - 0.8):
            tail = _bump(axis + end + rng.normal(0, 0.1), rng.uniform(15, 60))
            cell = cell * (1 + rng.uniform(0.4, 1.1) * tail)
    for _ in range(rng.poisson(0.8)):  # dents
        cell = cell * (1 - rng.uniform(0.1, 0.35) * _bump(rng.uniform(0, 2 * np.pi), 8))
    cell = cell * (1 + 0.035 * _waves(rng, 2, 6) + 0.01 * _waves(rng, 9, 40))
    cell *= base / np.sqrt((cell**2).mean())
    radius = 7.4 * line.size**0.6 * (area / 740) ** 0.2 * np.exp(rng.normal(0, 0.09))
    oval = np.exp(abs(rng.normal(0, 0.16)) + 0.12) * long**0.15
    nucleus = wobbly_ellipse(rng, radius, oval, axis + rng.normal(0, 0.2))
    shift = rng.uniform(0, 0.25) * base * np.array([np.sin(axis), np.cos(axis)])
    cell = np.maximum(_shifted(cell, shift), nucleus + rng.uniform(0.6, 1.8))
    return Outline(np.zeros(2), cell, nucleus)


def _bump(where: float, sharp: float) -> Profile:
    """1 at the angle `where`, falling to 0 on either side."""
    return np.asarray(np.exp(sharp * (np.cos(_TURNS - where) - 1)))


def _ellipse(long: float, short: float, axis: float) -> Profile:
    """Radius of an ellipse with half axes `long` and `short`, by angle."""
    turn = _TURNS - axis
    return long * short / np.hypot(short * np.cos(turn), long * np.sin(turn))


def _waves(rng: np.random.Generator, first: int, last: int) -> Profile:
    """A smooth closed wobble of deviation about 1, from waves `first` to `last` a turn."""
    order = np.arange(first, last + 1)[:, None]
    height = rng.standard_normal((2, last - first + 1))
    wave = height[0] @ np.cos(order * _TURNS) + height[1] @ np.sin(order * _TURNS)
    return wave / np.sqrt(len(order))


def _shifted(profile: Profile, shift_um: NDArray[np.float64]) -> Profile:
    """The same outline seen from a centre moved by `shift_um`."""
    y = profile * np.sin(_TURNS) - shift_um[0]
    x = profile * np.cos(_TURNS) - shift_um[1]
    turn = np.arctan2(y, x) % (2 * np.pi)
    order = np.argsort(turn)
    return np.interp(_TURNS, turn[order], np.hypot(y, x)[order], period=2 * np.pi)


def _centre(
    rng: np.random.Generator,
    size_um: tuple[float, float],
    placed: list[Outline],
    new: Outline,
    clumping: float,
) -> NDArray[np.float64]:
    low, high = -MARGIN_UM, np.array(size_um) + MARGIN_UM
    if placed and rng.random() < clumping:
        beside = placed[int(rng.integers(len(placed)))]
        turn = rng.uniform(0, 2 * np.pi)
        apart = np.interp(turn, _TURNS, beside.cell_um)
        apart += np.interp((turn + np.pi) % (2 * np.pi), _TURNS, new.cell_um)
        apart *= rng.uniform(0.72, 0.98)
        centre = beside.centre_um + apart * np.array([np.sin(turn), np.cos(turn)])
        if ((centre > low) & (centre < high)).all():
            return np.asarray(centre)
    return rng.uniform(low, high)


def _too_close(first: Outline, second: Outline) -> bool:
    """Whether the nuclei would meet or one cell would lie mostly on the other."""
    apart = second.centre_um - first.centre_um
    far = float(np.hypot(*apart))
    turn = float(np.arctan2(apart[0], apart[1]) % (2 * np.pi))
    back = (turn + np.pi) % (2 * np.pi)
    nuclei = np.interp(turn, _TURNS, first.nucleus_um) + np.interp(back, _TURNS, second.nucleus_um)
    cells = np.interp(turn, _TURNS, first.cell_um) + np.interp(back, _TURNS, second.cell_um)
    return bool(far < nuclei + 1.5 or far < 0.68 * cells)


def _box(
    centre_um: NDArray[np.float64], reach_um: float, shape_hw: tuple[int, int], pixel_um: float
) -> tuple[slice, slice]:
    low = np.floor((centre_um - reach_um) / pixel_um).astype(int)
    high = np.ceil((centre_um + reach_um) / pixel_um).astype(int)
    low, high = np.clip(low, 0, shape_hw), np.clip(high, 0, shape_hw)
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
