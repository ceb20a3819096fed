"""How large the nuclei of an image are, so that nothing else counts in pixels.

Nuclei are told by their edges, not by their brightness: they are flat and end sharply, while
halos, haze and uneven light are domes that slope everywhere. The picture is looked at from
several distances. Each look finds blobs of every brightness (component_tree.py) that are
about a few tens of pixels wide there; the look whose blobs have the most evidence says how
large nuclei are, and a last look from the right distance measures them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.segment.component_tree import Part, build_tree, choose_disjoint
from hpa_mmdet.segment.filters import Plane, blur, resize, slope

LOOKS_PX = (512, 256, 128, 64)  # longer side of the picture as it is looked at
PART_PX = 256  # side of the part that is looked at from nearer
TYPICAL_PX = 22.0  # diameter that a look sees best
SEEN_PX = (10.0, 40.0)  # diameters that a look sees at all
_LEVELS = 28
SHARP = 6.0  # rise at the edge, in contrasts for each own diameter, at which more is no better
DOME, FLAT = 0.4, 0.9  # slope at the edge over that inside, of what is no nucleus and of one
LEAST_BLOB = 0.3  # score
CLEAR_OF_NOISE = 4.0  # contrast in sd of the noise at which more is no better
SAME_SIZE = 0.5  # log of the ratio of two diameters that are taken for one size
SETTLED = 0.1  # log of the ratio of two measurements that are taken for equal
CUT_WIDTH = 0.9  # of the longer side of what the border cuts, that counts as its diameter
FEW_BLOBS = 3  # fewer say little
CLEARLY_BETTER = 1.5  # times the evidence for the next other size
TYPICAL_UM = 14.0  # diameter of a human nucleus in culture


class SizeEstimate(NamedTuple):
    """The diameter of a typical nucleus in pixels, and how sure it is.

    `blobs` of about this size were found. `doubt` says why the estimate may be wrong; it is
    empty where nothing speaks against it.
    """

    diameter: float
    blobs: int
    doubt: str


class _Look(NamedTuple):
    """Blobs seen from one distance: diameters in pixels of the picture, weights, at border."""

    diameters: NDArray[np.float64]
    weights: NDArray[np.float64]
    votes: NDArray[np.float64]
    at_border: NDArray[np.bool_]

    @property
    def typical(self) -> float:
        """Median by weight, of the blobs that the border does not cut if they are enough."""
        whole = np.where(self.at_border, 0, self.weights)
        weights = whole if whole.sum() > 0.3 * self.weights.sum() else self.weights
        order = np.argsort(self.diameters)
        half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
        return float(self.diameters[order][min(int(half), len(order) - 1)])

    @property
    def alike(self) -> NDArray[np.bool_]:
        """Which blobs are about as large as the typical one."""
        return np.abs(np.log(self.diameters / self.typical)) < SAME_SIZE

    @property
    def evidence(self) -> float:
        """Weight of the blobs of one size; a lone one counts half, since none agrees with it."""
        count = int(self.alike.sum())
        return float(self.weights[self.alike].sum()) * count / (count + 1)


def estimate_nucleus_size(dna: NDArray[np.generic]) -> SizeEstimate | None:
    """Estimate the diameter of a typical nucleus.

    Args:
        dna: (H, W) DNA stain, any scale.

    Returns:
        The estimate, or None where nothing stands out.
    """
    plane = dna.astype(np.float32)
    looks = [look for shrink in _distances(plane.shape) if (look := _look(plane, shrink))]
    looks += [look for shrink in _nearer(plane.shape) if (look := _look_at_a_part(plane, shrink))]
    if not looks:
        return None
    best = max(looks, key=lambda look: look.evidence)
    others = [look.evidence for look in looks if not _same(look.typical, best.typical)]
    doubt = ""
    if others and best.evidence < CLEARLY_BETTER * max(others):
        doubt = "two sizes stand out"
    best, settled = _measure_again(plane, best)
    blobs = int(best.alike.sum())
    if blobs < FEW_BLOBS:
        doubt = f"{blobs} nuclei stand out" if blobs > 1 else "one nucleus stands out"
    elif not settled:
        doubt = "no size stands out"
    return SizeEstimate(best.typical, blobs, doubt)


def _distances(shape_hw: tuple[int, ...]) -> list[float]:
    """Give the factors by which the whole picture is shrunk."""
    factors = [max(shape_hw) / look for look in LOOKS_PX]
    return [factor for factor in factors if factor >= 1] or [1.0]


def _nearer(shape_hw: tuple[int, ...]) -> list[float]:
    """Give the factors of the looks at a part, down to an enlargement by two."""
    factor, factors = _distances(shape_hw)[0] / 2, []
    while factor >= 0.5:
        factors.append(factor)
        factor /= 2
    return factors


def _same(one: float, other: float) -> bool:
    return abs(float(np.log(one / other))) < SAME_SIZE


def _measure_again(plane: Plane, look: _Look) -> tuple[_Look, bool]:
    """Look from the distance that fits what was found, until it stays the same."""
    for _ in range(3):
        again = _look(plane, look.typical / TYPICAL_PX)
        if again is None:
            return look, False
        # what is far from this size is not seen, so that each blob may count alike
        again = again._replace(weights=again.votes)
        change = abs(np.log(again.typical / look.typical))
        look = again
        if change < SETTLED:
            return look, True
    return look, False


def _look_at_a_part(plane: Plane, shrink: float) -> _Look | None:
    """Look at the part of the picture in which most edges are."""
    side = round(PART_PX * shrink)
    rough = slope(resize(plane, 0.25 / shrink))
    reach = (PART_PX // 4, PART_PX // 4)
    around = cv2.boxFilter(rough, cv2.CV_32F, reach, borderType=cv2.BORDER_CONSTANT)
    row, column = np.unravel_index(int(around.argmax()), around.shape)
    top = int(np.clip(row * 4 * shrink - side / 2, 0, max(0, plane.shape[0] - side)))
    left = int(np.clip(column * 4 * shrink - side / 2, 0, max(0, plane.shape[1] - side)))
    part = plane[top : top + side, left : left + side]
    return _look(np.ascontiguousarray(part), shrink)


def _look(plane: Plane, shrink: float) -> _Look | None:
    """Find the blobs that are a few tens of pixels wide in a picture shrunk by a factor."""
    small = resize(plane, 1 / shrink)
    smooth = blur(small, 1.0)
    noise = _noise_after_blur(small, smooth)
    over = smooth - np.float32(np.percentile(smooth, 0.5))
    highest = float(np.percentile(over, 99.95))
    lowest = max(2 * noise, 0.01 * highest)
    if highest <= lowest:
        return None
    sizes = tuple((side / TYPICAL_PX) ** 2 for side in SEEN_PX)
    levels = np.geomspace(lowest, 0.95 * highest, _LEVELS)
    parts = build_tree(over, levels, TYPICAL_PX, (sizes[0], sizes[1]), brush_px=3)
    scores = [edge_score(part, noise) for part in parts]
    chosen = choose_disjoint(parts, scores, [part.area * part.edge for part in parts])
    good = [at for at in chosen if scores[at] > LEAST_BLOB]
    if not good:
        return None
    # area, times score, times root of contrast, over the width of the edge in pixels
    weights = [
        scores[at] * parts[at].area * parts[at].edge * shrink / parts[at].contrast ** 0.5
        for at in good
    ]
    return _Look(
        np.array([_whole_diameter(_steepest(parts, at)) * shrink for at in good]),
        np.array(weights),
        np.array([scores[at] * parts[at].area ** 0.5 for at in good]),
        np.array([parts[at].at_border for at in good]),
    )


def _steepest(parts: Sequence[Part], at: int) -> Part:
    """Give the part where the edge is steepest: that one, or one of those in it."""
    best = here = parts[at]
    while inner := [parts[place] for place in here.inner if parts[place].area > here.area / 2]:
        here = inner[0]
        best = here if here.edge > best.edge else best
    return best


def _noise_after_blur(small: Plane, smooth: Plane) -> float:
    """Give the sd that noise of single pixels has after a blur by one pixel."""
    rough = np.abs(small - smooth)
    return max(0.3 * 1.4826 * float(np.median(rough)), 1e-3)


def edge_score(part: Part, noise: float) -> float:
    """Score a part as a nucleus of whatever size, 0 to 1.

    It is convex, stands out of the noise, and its edge is sharp and steeper than its inside.

    Args:
        part: of a component tree.
        noise: sd of the brightness where nothing is.
    """
    contrast = max(part.contrast, 1e-6)
    sharp = min(1.0, part.weak_edge * _diameter(part) / contrast / SHARP)
    flat = (part.weak_edge / max(part.inside, 1e-6) - DOME) / (FLAT - DOME)
    clear = min(1.0, contrast / (CLEAR_OF_NOISE * noise))
    return float(sharp * part.solidity**6 * clear * np.clip(flat, 0, 1))


def _whole_diameter(part: Part) -> float:
    """Give the diameter; of a part that the border cuts, that of the whole as far as it shows."""
    if not part.at_border:
        return _diameter(part)
    return max(_diameter(part), CUT_WIDTH * max(cv2.boundingRect(part.contour)[2:]))


def _diameter(part: Part) -> float:
    return 2 * float(np.sqrt(part.area / np.pi))
