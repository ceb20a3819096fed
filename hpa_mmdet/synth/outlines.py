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

MARGIN_UM = 1.5  # how far outside the image a cell's centre may lie
_TURNS = np.linspace(0, 2 * np.pi, 257)
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
        plate = _ellipse(radius * 0.6, max(0.2 * radius, 1.2), rng.uniform(0, np.pi))
        return Outline(self.centre_um, cell, plate * (1 + 0.06 * _waves(rng, 3, 9)), True)


def scatter_outlines(rng: np.random.Generator, size_um: tuple[float, float]) -> list[Outline]:
    """Place cells in a field, most of them in patches where they touch.

    Args:
        rng: decides everything.
        size_um: height and width of the field.
    """
    field = float(np.prod(size_um))
    scale = float(np.exp(rng.normal(0, 0.18)))  # one cell line an image
    stretch = float(rng.choice([0.18, 0.3, 0.5]))
    cover = rng.uniform(0.3, 0.85)
    clumping = rng.choice([0.3, 0.8, 0.95])
    placed: list[Outline] = []
    covered = 0.0
    for _ in range(int(4 * field / 700) + 8):
        new = _outline(rng, scale, stretch)
        for _ in range(8):
            new.centre_um = _centre(rng, size_um, placed, new, clumping)
            if not any(_too_close(new, other) for other in placed):
                placed.append(new)
                covered += float((new.cell_um**2).mean() * np.pi)
                break
        if covered > cover * field:
            break
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
        rows = (np.arange(box[0].start, box[0].stop) + 0.5) * pixel_um - outline.centre_um[0]
        columns = (np.arange(box[1].start, box[1].stop) + 0.5) * pixel_um - outline.centre_um[1]
        far = np.hypot(rows[:, None], columns[None, :])
        turn = np.arctan2(rows[:, None], columns[None, :]) % (2 * np.pi)
        in_cell = far / np.interp(turn, _TURNS, outline.cell_um)
        in_nucleus = far / np.interp(turn, _TURNS, outline.nucleus_um)
        in_cell = np.where(in_nucleus < 1.12, np.minimum(in_cell, 0.3 * in_nucleus), in_cell)
        won = in_cell < nearest[box]
        nearest[box][won] = in_cell[won]
        cells[box][won] = number
        nuclei[box][won & (in_nucleus < 1)] = number
        nuclei[box][won & (in_nucleus >= 1)] = 0
    return _whole_cells(cells, nuclei)


def _whole_cells(
    cells: NDArray[np.uint16], nuclei: NDArray[np.uint16]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Keep of each cell the one part that holds its nucleus; drop cells without any."""
    for number in range(1, int(cells.max(initial=0)) + 1):
        if not (cells == number).any():
            continue
        rows = np.flatnonzero((cells == number).any(axis=1))
        columns = np.flatnonzero((cells == number).any(axis=0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
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


def _outline(rng: np.random.Generator, scale: float, stretch: float) -> Outline:
    """Make one cell around the origin."""
    nowhere = np.zeros(2)
    area = 800 * scale**2 * np.exp(rng.normal(0, 0.4))
    long = np.exp(abs(rng.normal(0, stretch)) + 0.12)
    axis = rng.uniform(0, np.pi)
    base = np.sqrt(area / np.pi)
    cell = _ellipse(base * np.sqrt(long), base / np.sqrt(long), axis)
    for _ in range(rng.integers(0, 5)):  # corners and tails
        sharp = rng.uniform(3, 22)
        lift = rng.uniform(0.15, 0.7) * np.exp(
            sharp * (np.cos(_TURNS - rng.uniform(0, 2 * np.pi)) - 1)
        )
        cell = cell * (1 + lift)
    cell = cell * (1 + 0.05 * _waves(rng, 2, 6) + 0.012 * _waves(rng, 9, 40))
    cell *= base / np.sqrt((cell**2).mean())
    radius = 6.6 * scale**0.6 * (area / 800) ** 0.22 * np.exp(rng.normal(0, 0.08))
    oval = np.exp(abs(rng.normal(0, 0.14)) + 0.08) * long**0.15
    nucleus = _ellipse(radius * np.sqrt(oval), radius / np.sqrt(oval), axis + rng.normal(0, 0.25))
    nucleus = nucleus * (1 + 0.02 * _waves(rng, 2, 5))
    if rng.random() < 0.08:  # a dented, two-lobed nucleus
        dent = np.exp(9 * (np.cos(_TURNS - rng.uniform(0, 2 * np.pi)) - 1))
        nucleus = nucleus * (1 - rng.uniform(0.2, 0.45) * dent)
    shift = rng.uniform(0, 0.22) * base * np.array([np.sin(axis), np.cos(axis)])
    return Outline(nowhere, np.maximum(_shifted(cell, shift), nucleus + 1.0), nucleus)


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
