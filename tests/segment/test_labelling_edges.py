"""Probabilities of the HPA networks right at the limits from which they count."""

import numpy as np
import pytest

from hpa_mmdet.segment.labelling import NUCLEUS, label_cells

SHAPE_HW = (80, 140)


def inside(radius: float, level: int) -> np.ndarray:
    """A disc whose inside has this level of 255."""
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    bands = np.zeros((*SHAPE_HW, 3), np.uint8)
    bands[np.hypot(y - 40, x - 70) < radius, 2] = level
    return bands


@pytest.mark.parametrize(("level", "count"), [(102, 0), (103, 1)])
def test_a_nucleus_is_above_its_least_probability(level: int, count: int) -> None:
    assert np.float32(102) / np.float32(255) == np.float32(NUCLEUS)
    found = label_cells(inside(15, level), inside(28, 255))
    assert found.nuclei.max() == found.cells.max() == count
