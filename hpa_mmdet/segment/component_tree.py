"""Blobs of every brightness: the best of the nested parts that rising thresholds leave.

One threshold cannot serve a picture in which a dying nucleus is ten times as bright as its
neighbours and lies in a halo of its own light. So the picture is cut at many levels, the
parts are strung to a tree (a part lies in one part of the level below), each is scored as
a blob, and the best set of parts that do not contain one another is taken.

H, W: picture height and width in pixels; axes are (row, column).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.segment.filters import Plane, slope

LEVELS = 26
BRUSH_PX = 5  # what is thinner is not looked at
SHARPEST = 4.0  # rise of brightness across one blob diameter at which more is not better
AREA_SPREAD = 1.1  # sd of the log of the area, in units of the typical area
SMALLEST_PART, LARGEST_PART = 0.05, 8.0  # areas that are looked at, in units of the typical area


@dataclass
class Part:
    """One connected part of one level, holes filled.

    Attributes:
        contour: (P, 1, 2) x, y of its outer pixels, as OpenCV gives them.
        area: in pixels, holes included.
        mass: sum of the brightness over it.
        solidity: area over the area of its convex hull, 0 to 1.
        sharpness: mean slope along the contour times the typical diameter, over its mean
            brightness; an edge as wide as the blob has about 1.
        at_border: whether the picture's border cuts it.
        contrast: mean brightness less the level that bounds it.
        edge: mean slope along the contour, where it is not the picture's border.
        slopes: along the contour, where it is not the picture's border.
        inside: mean slope over the whole part.
        is_root: whether it lies in no part of the level below.
        inner: positions (in the list of all parts) of the parts of the next level in it.
    """

    contour: NDArray[np.int32]
    area: float
    mass: float
    solidity: float
    sharpness: float
    at_border: bool
    contrast: float = 0.0
    edge: float = 0.0
    slopes: Plane = field(default_factory=lambda: np.zeros(1, np.float32))
    inside: float = 0.0
    is_root: bool = True
    inner: list[int] = field(default_factory=list)

    @property
    def weak_edge(self) -> float:
        """Lower quartile of the slopes along the contour."""
        at = len(self.slopes) // 4
        return float(np.partition(self.slopes, at)[at])


def build_tree(
    bright: Plane,
    levels: NDArray[np.float64],
    diameter: float,
    sizes: tuple[float, float] = (SMALLEST_PART, LARGEST_PART),
    brush_px: int = BRUSH_PX,
) -> list[Part]:
    """List the parts above rising thresholds, those of lower ones first.

    Args:
        bright: (H, W) brightness over the background, smoothed.
        levels: the thresholds, rising, the first > 0.
        diameter: of a typical blob, in pixels.
        sizes: areas that are looked at, in units of the typical area.
        brush_px: what is thinner is taken off the parts.
    """
    steepness = slope(bright)
    both = np.asarray(cv2.merge([bright, steepness]), np.float32)
    smallest, largest = np.pi * diameter**2 / 4 * np.array(sizes)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (brush_px, brush_px))
    parts: list[Part] = []
    # the part of the level below at each pixel, and that of this one
    outer, here = (np.full(bright.shape, -1, np.int32) for _ in range(2))
    for level in levels.tolist():
        mask = cv2.morphologyEx((bright > level).astype(np.uint8), cv2.MORPH_OPEN, brush)
        found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        here.fill(-1)
        for contour in found:
            area = cv2.contourArea(contour) + len(contour) / 2
            if not smallest <= area <= largest:
                continue
            cv2.drawContours(here, [contour], -1, len(parts), cv2.FILLED)
            x, y, width, height = cv2.boundingRect(contour)
            box = (slice(y, y + height), slice(x, x + width))
            inside = (here[box] == len(parts)).view(np.uint8)
            part = _measure(np.asarray(contour, np.int32), area, level, both, inside, diameter)
            x, y = contour[0, 0]
            if outer[y, x] >= 0:
                part.is_root = False
                parts[outer[y, x]].inner.append(len(parts))
            parts.append(part)
        outer, here = here, outer
    return parts


def _measure(
    contour: NDArray[np.int32],
    area: float,
    level: float,
    both: Plane,
    inside: NDArray[np.uint8],
    diameter: float,
) -> Part:
    """Measure a part: `both` is (H, W, 2), brightness and slope, `inside` covers its box."""
    x, y, width, height = cv2.boundingRect(contour)
    box = (slice(y, y + height), slice(x, x + width))
    mean, mean_slope, *_ = cv2.mean(both[box], inside)
    hull = cv2.convexHull(contour)
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2
    across, down = contour[:, 0, 0], contour[:, 0, 1]
    edge = both[down, across, 1]
    along = free_edge = cv2.mean(edge)[0]
    picture_height, picture_width = both.shape[:2]
    at_border = x == 0 or y == 0 or x + width == picture_width or y + height == picture_height
    if at_border:
        free = (
            (across > 0) & (across < picture_width - 1) & (down > 0) & (down < picture_height - 1)
        )
        if free.any():
            edge = edge[free]
            free_edge = cv2.mean(edge)[0]
    return Part(
        contour=contour,
        area=area,
        mass=area * mean,
        solidity=min(1.0, area / hull_area),
        sharpness=along * diameter / max(mean, 1e-6),
        at_border=bool(at_border),
        contrast=mean - level,
        edge=free_edge,
        slopes=edge,
        inside=mean_slope,
    )


def blob_score(part: Part, diameter: float) -> float:
    """Score a part as one blob, 0 to 1: sharp edge, convex, about the typical area.

    A part that the border cuts may be half as large without loss.
    """
    ratio = part.area / (np.pi * diameter**2 / 4)
    if part.at_border:
        ratio = max(ratio, min(1.0, 2 * ratio))
    fits = np.exp(-0.5 * (np.log(ratio) / AREA_SPREAD) ** 2)
    return float(min(part.sharpness / SHARPEST, 1.0) * part.solidity**4 * fits)


def best_parts(parts: Sequence[Part], diameter: float, least: float) -> list[Part]:
    """Choose the set of disjoint parts with the best scores as blobs of one size.

    Args:
        parts: from `build_tree`, in its order.
        diameter: of a typical blob, in pixels.
        least: parts that score less are left out.
    """
    scores = [blob_score(part, diameter) for part in parts]
    chosen = choose_disjoint(parts, scores, [part.mass for part in parts])
    return [parts[at] for at in chosen if scores[at] >= least]


def choose_disjoint(
    parts: Sequence[Part], scores: Sequence[float], masses: Sequence[float]
) -> list[int]:
    """Choose parts that do not contain one another, with the best scores.

    A part gives way to the best parts inside it where their mean score, weighted by mass
    and multiplied by the root of the share of its mass that they keep, beats its own: a
    halo gives way to its core, while two nuclei of which only one would survive do not.

    Args:
        parts: from `build_tree`, in its order.
        scores: of each part.
        masses: of each part, > 0; what makes it count beside others.

    Returns:
        Positions among `parts`.
    """
    chosen: dict[int, tuple[float, float, list[int]]] = {}  # mean score, mass, positions
    for at in range(len(parts) - 1, -1, -1):
        own_mass, score = masses[at], scores[at]
        chosen[at] = (score, own_mass, [at])
        inner = [chosen[place] for place in parts[at].inner]
        if inner:
            mass = sum(inner_mass for _, inner_mass, _ in inner)
            mean = sum(inner_score * inner_mass for inner_score, inner_mass, _ in inner) / mass
            if mean * min(1.0, mass / own_mass) ** 0.5 > score:
                positions = [place for _, _, places in inner for place in places]
                chosen[at] = (mean, mass, positions)
    roots = [at for at, part in enumerate(parts) if part.is_root]
    return [place for root in roots for place in chosen[root][2]]
