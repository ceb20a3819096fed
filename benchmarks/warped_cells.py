"""Real cells that lie apart, and their stains warped into other outlines.

h, w: height and width of a cell's box in pixels of PIXEL_UM.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from skimage.filters import threshold_otsu

from hpa_mmdet.io.label_images import find_masks, read_label_image

STAINS = ("red", "blue", "yellow")
SHRINK = 4  # of HPA's own pixels of 0.08 um
PIXEL_UM = 0.08 * SHRINK
LEAST_AREA_UM2 = 35.0  # of a cell and of a nucleus
MOST_OVERLAP = 8  # pixels that a cell's light goes over its outline
SAMPLES = 256  # points along an outline
TRIED = 12  # cells that are tried for each outline

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]


class RealCell(NamedTuple):
    """One cell: its (3, h, w) stains, each about 1 where bright, its mask and nucleus."""

    stains: NDArray[np.float32]
    mask: Mask
    nucleus: Mask


def read_cells(root: Path) -> list[RealCell]:
    """Read the real cells that lie apart: those of the mosaics and of the contest's images."""
    cells = []
    mosaics = root / "hpa_cells"
    for name, path in sorted(find_masks(mosaics / "masks").items()):
        files = {stain: mosaics / "images" / f"{name}_{stain}.jpg" for stain in STAINS}
        cells += list(_cut_out(files, read_label_image(path), SHRINK // 2))
    contest = root / "hpa_contest"
    for path in sorted((contest / "train").glob("*_blue.png")):
        name = path.name.removesuffix("_blue.png")
        files = {stain: contest / "train" / f"{name}_{stain}.png" for stain in STAINS}
        cells += list(_cut_out(files, read_label_image(contest / "masks" / f"{name}_mask.png"), 4))
    return cells


def _cut_out(
    files: dict[str, Path], label_image: NDArray[np.integer], shrink: int
) -> Iterator[RealCell]:
    """Cut the cells out that the border does not cut and whose nucleus stands out."""
    pixels = np.stack([np.asarray(Image.open(files[stain]).convert("L")) for stain in STAINS])
    size_wh = (label_image.shape[1] // shrink, label_image.shape[0] // shrink)
    small = np.stack(
        [cv2.resize(p.astype(np.float32), size_wh, interpolation=cv2.INTER_AREA) for p in pixels]
    )
    labels = cv2.resize(
        label_image.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST
    ).astype(np.int32)
    for cell, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        wide = widened(box, 2, labels.shape)
        at_border = any(
            side.start == 0 or side.stop == length
            for side, length in zip(box, labels.shape, strict=True)
        )
        mask = largest(labels[wide] == cell)
        dna = cv2.GaussianBlur(small[1][wide], (0, 0), 1.0)
        if at_border or np.ptp(dna[mask]) == 0:
            continue
        nucleus = ndimage.binary_fill_holes(largest(mask & (dna > threshold_otsu(dna[mask]))))
        share = nucleus.sum() / mask.sum()
        if not 0.08 < share < 0.6 or nucleus.sum() * PIXEL_UM**2 < LEAST_AREA_UM2:
            continue
        stains = np.stack([_scaled(plane[wide], mask) for plane in small])
        yield RealCell(stains, mask, np.asarray(nucleus))


def _scaled(plane: Plane, mask: Mask) -> Plane:
    return np.where(mask, plane / max(float(np.percentile(plane[mask], 90)), 1.0), 0).astype(
        np.float32
    )


def fill(
    rng: np.random.Generator, mask: Mask, cells: Sequence[RealCell]
) -> tuple[NDArray[np.float32], Mask]:
    """Warp the best fitting of some cells into a mask; give its stains and its nucleus.

    The light goes a little over the mask's outline, as that of cells that lie on one another.
    """
    over = int(rng.integers(0, MOST_OVERLAP + 1))
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * over + 1, 2 * over + 1))
    target = cv2.dilate(mask.astype(np.uint8), brush) > 0
    outline = _outline(target)
    tried = [cells[at] for at in rng.choice(len(cells), TRIED, replace=False)]
    fits = [_fit(outline, _outline(cell.mask)) for cell in tried]
    losses = [
        1 - fit.agreement + 0.1 * abs(np.log(cell.mask.sum() / target.sum()))
        for cell, fit in zip(tried, fits, strict=True)
    ]
    best = int(np.argmin(losses))
    cell, there = tried[best], fits[best].points
    column, row = _harmonic(target, outline, there)
    # a way that leaves the cell is led to its nearest pixel
    nearest = ndimage.distance_transform_edt(~cell.mask, return_indices=True)[1]
    y = np.clip(np.round(row).astype(int), 0, cell.mask.shape[0] - 1)
    x = np.clip(np.round(column).astype(int), 0, cell.mask.shape[1] - 1)
    lost = ~cell.mask[y, x]
    row = np.where(lost, nearest[0][y, x], row).astype(np.float32)
    column = np.where(lost, nearest[1][y, x], column).astype(np.float32)
    stains = np.stack(
        [cv2.remap(plane, column, row, cv2.INTER_LINEAR) * target for plane in cell.stains]
    )
    nucleus = cv2.remap(cell.nucleus.astype(np.float32), column, row, cv2.INTER_LINEAR) > 0.5
    return stains, np.asarray(nucleus & target)


class _Fit(NamedTuple):
    """Points of another outline for those of one, as x + iy, and how well the shapes agree."""

    points: NDArray[np.complex128]
    agreement: float


def _outline(mask: Mask) -> NDArray[np.complex128]:
    """Give SAMPLES points along the outline of a mask, as x + iy."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(found, key=len)[:, 0]
    points = longest[:, 0] + 1j * longest[:, 1]
    points = np.append(points, points[0])
    along = np.append(0, np.cumsum(np.abs(np.diff(points))))
    return np.interp(np.linspace(0, along[-1], SAMPLES, endpoint=False), along, points)


def _fit(one: NDArray[np.complex128], other: NDArray[np.complex128]) -> _Fit:
    """Turn, mirror and shift the points along `other` so that it fits `one` best."""
    best = _Fit(other, -1.0)
    centred = one - one.mean()
    for points in (other, other[::-1]):
        shape = points - points.mean()
        if points is not other:
            shape = shape.conj()  # mirrored, so that both run the same way round
        products = np.fft.ifft(np.fft.fft(centred) * np.fft.fft(shape).conj())
        shift = int(np.abs(products).argmax())
        norm = np.linalg.norm(centred) * np.linalg.norm(shape)
        agreement = float(np.abs(products[shift]) / max(norm, 1e-9))
        if agreement > best.agreement:
            best = _Fit(np.roll(points, shift), agreement)
    return best


def _harmonic(
    target: Mask, outline: NDArray[np.complex128], there: NDArray[np.complex128]
) -> tuple[Plane, Plane]:
    """Spread what is known along an outline over its inside, smoothly (Laplace's equation)."""
    rows, columns = np.nonzero(target)
    number = np.full(target.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    rim = target & ~ndimage.binary_erosion(target)
    at_rim = rim[rows, columns]
    away = np.abs((columns + 1j * rows)[at_rim][:, None] - outline[None])
    values = np.zeros((len(rows), 2))
    ends = there[away.argmin(axis=1)]
    values[at_rim] = np.stack([ends.real, ends.imag], axis=1)
    free = np.flatnonzero(~at_rim)
    beside = np.stack(
        [
            number[rows[free] + dy, columns[free] + dx]
            for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0))
        ]
    )
    size = len(rows)
    matrix = sparse.coo_matrix(
        (
            np.concatenate([np.where(at_rim, 1.0, 4.0), np.full(beside.size, -1.0)]),
            (
                np.concatenate([np.arange(size), np.tile(free, 4)]),
                np.concatenate([np.arange(size), beside.ravel()]),
            ),
        ),
        shape=(size, size),
    )
    solved = splu(matrix.tocsc()).solve(values)
    column, row = np.zeros(target.shape, np.float32), np.zeros(target.shape, np.float32)
    column[rows, columns], row[rows, columns] = solved[:, 0], solved[:, 1]
    return column, row


def largest(mask: Mask) -> Mask:
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    counts = np.bincount(parts[mask])
    return np.asarray(parts == counts.argmax()) if len(counts) else mask


def widened(box: tuple[slice, ...], pad: int, shape_hw: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(0, side.start - pad), min(length, side.stop + pad))
        for side, length in zip(box, shape_hw, strict=True)
    )
    return rows, columns
