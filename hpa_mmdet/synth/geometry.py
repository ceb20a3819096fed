"""One cell in its own box: where its parts are, in pixels and micrometres.

h, w: height and width of the box in pixels. Points are (row, column), in pixels of the box.
Distances are in micrometres.
"""

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.synth.cell_line import CellLine
from hpa_mmdet.synth.texture import Field, gaussian_blur, noise, soft_step

Mask = NDArray[np.bool_]


@dataclass
class CellGeometry:
    """What every drawing function is given.

    Args:
        cell: (h, w) the cell's own pixels, nucleus included.
        nucleus: (h, w) inside `cell`; for a mitotic cell the region of its chromosomes.
        pixel_um: side of a pixel.
        rng: this cell's own random generator.
        mitotic: whether the cell divides: round, chromosomes in a plate, two poles.
        others: (h, w) pixels of other cells; the cell is as thick where it touches them as
            elsewhere. None: there are none.
        line: the look that it shares with the image's other cells.
    """

    cell: Mask
    nucleus: Mask
    pixel_um: float
    rng: np.random.Generator
    mitotic: bool = False
    others: Mask | None = None
    line: CellLine = field(default_factory=CellLine)

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Size of the box in pixels."""
        return self.cell.shape[0], self.cell.shape[1]

    def px(self, length_um: float) -> float:
        """Micrometres to pixels."""
        return length_um / self.pixel_um

    def noise(self, grain_um: float) -> Field:
        """(h, w) smooth noise, mean 0, deviation 1, with grains of about `grain_um`."""
        return noise(self.rng, self.shape_hw, max(grain_um / 3 / self.pixel_um, 0.35))

    def blur(self, plane: Field, sigma_um: float) -> Field:
        """Gaussian blur by micrometres."""
        return gaussian_blur(plane, sigma_um / self.pixel_um)

    @cached_property
    def depth_um(self) -> Field:
        """(h, w) distance to the cell's border from inside; 0 outside the cell."""
        return _distance(self.cell) * np.float32(self.pixel_um)

    @cached_property
    def outside_um(self) -> Field:
        """(h, w) distance to the cell from outside; 0 in it."""
        return _distance(~self.cell) * np.float32(self.pixel_um)

    @cached_property
    def nucleus_depth_um(self) -> Field:
        """(h, w) distance to the nucleus's border from inside; 0 outside the nucleus."""
        return _distance(self.nucleus) * np.float32(self.pixel_um)

    @cached_property
    def from_nucleus_um(self) -> Field:
        """(h, w) distance to the nucleus from outside; 0 in it."""
        return _distance(~self.nucleus) * np.float32(self.pixel_um)

    @cached_property
    def body(self) -> Field:
        """(h, w) 0..1: the cell with a soft border, thin near its free edge."""
        thin_um = np.float32(self.line.edge_um * self.rng.uniform(0.8, 1.25))
        free_um = self.depth_um
        if self.others is not None and self.others.any():
            free_um = _distance(self.cell | self.others) * np.float32(self.pixel_um)
        thickness = 1 - np.exp(-free_um / thin_um)
        seam = 1 - np.float32(0.6) * np.exp(-self.depth_um / np.float32(0.3))
        return self.blur(thickness * seam * self.cell, 0.15)

    @cached_property
    def cytoplasm(self) -> Field:
        """(h, w) 0..1: `body` without the nucleus, whose border is soft."""
        return self.body * (1 - self.nuclear)

    @cached_property
    def nuclear(self) -> Field:
        """(h, w) 0..1: the nucleus with a soft border."""
        return soft_step(self.nucleus_depth_um - self.from_nucleus_um, 0.25)

    @cached_property
    def centre_yx(self) -> NDArray[np.float64]:
        """(2,) centre of the nucleus."""
        moment = cv2.moments(self.nucleus.astype(np.uint8), binaryImage=True)
        return np.array([moment["m01"], moment["m10"]]) / max(moment["m00"], 1)

    @cached_property
    def axis_rad(self) -> float:
        """Direction of the cell's long axis: angle from the columns' axis towards the rows'."""
        return spread_of(self.cell)[0]

    @cached_property
    def elongation(self) -> float:
        """0 for a round cell, towards 1 for a long one."""
        return spread_of(self.cell)[1]

    @cached_property
    def centrosome_yx(self) -> NDArray[np.float64]:
        """(2,) the cell's centrosome, beside the nucleus on its wider side."""
        near = self.cell & (self.from_nucleus_um < 3.0) & (self.from_nucleus_um > 0.4)
        room = np.where(near, self.depth_um + 0.3, 0).astype(np.float32)
        return self.points(room, 1)[0]

    @cached_property
    def nucleoli(self) -> Field:
        """(h, w) 0..1: one to five nucleoli."""
        plane = np.zeros(self.shape_hw, np.float32)
        deep = np.clip(self.nucleus_depth_um - 1.2, 0, None)
        if self.mitotic or not deep.any():
            return plane
        wobble = self.noise(1.6)
        number = int(self.rng.integers(1, 6))
        for y, x in self.points(deep, number):
            radius = self.rng.uniform(0.5, 1.5) if number > 2 else self.rng.uniform(1.0, 2.1)
            plane = np.maximum(plane, self.disc(y, x, radius, wobble * 0.25 * radius))
        return plane * self.nuclear

    def disc(self, y: float, x: float, radius_um: float, wobble_um: Field | float = 0.0) -> Field:
        """(h, w) 0..1: a soft disc, its rim moved by `wobble_um`."""
        height, width = self.shape_hw
        rows, columns = np.ogrid[:height, :width]
        far = np.sqrt((rows - y) ** 2 + (columns - x) ** 2).astype(np.float32) * self.pixel_um
        return soft_step((radius_um - far + wobble_um).astype(np.float32), 0.2)

    def points(self, weight: Field, number: int) -> NDArray[np.float64]:
        """Draw points where `weight` (h, w) is high.

        Returns:
            (number, 2) points, spread inside their pixels; the nucleus's centre again and
            again where all weights are zero.
        """
        total = np.cumsum(weight, dtype=np.float64)
        if total[-1] <= 0:
            return np.tile(self.centre_yx, (number, 1))
        flat = np.searchsorted(total, self.rng.random(number) * total[-1], side="right")
        places = np.stack(np.divmod(flat, weight.shape[1]), axis=1)
        return places + self.rng.uniform(-0.5, 0.5, (number, 2))


def spread_of(mask: Mask) -> tuple[float, float]:
    """Long axis of a mask and how elongated it is.

    Returns:
        The angle from the columns' axis towards the rows', and 1 - width / length.
    """
    moment = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    yy, xx, xy = moment["mu02"], moment["mu20"], moment["mu11"]
    middle, half = (yy + xx) / 2, float(np.hypot((xx - yy) / 2, xy))
    ratio = max(middle - half, 0.0) / max(middle + half, 1e-9)
    return 0.5 * float(np.arctan2(2 * xy, xx - yy)), 1 - ratio**0.5


def _distance(mask: Mask) -> Field:
    if mask.all():  # no border in sight: far from it everywhere
        return np.full(mask.shape, max(mask.shape), np.float32)
    out = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    # measured to the border between two pixels, not to the other pixel's centre
    return np.maximum(np.asarray(out, np.float32) - np.float32(0.5), 0)
