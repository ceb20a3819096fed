"""Planes drawn by hand for the tests of single steps."""

import numpy as np

SHAPE_HW = (120, 200)


DIAMETER = 36.0


TYPICAL_AREA = np.pi * DIAMETER**2 / 4


def disc(centre_yx: tuple[float, float], radius: float, shape_hw: tuple[int, int] = SHAPE_HW):
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) < radius
