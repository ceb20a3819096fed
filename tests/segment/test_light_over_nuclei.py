"""Nuclei under blurred lights are found, with their own outlines."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hpa_mmdet.segment.agreement import compare_cells
from hpa_mmdet.segment.nuclei import find_nuclei

SHAPE_HW = (300, 420)
RADIUS = 17
CONTRAST = 100.0


def nuclei_on_a_grid() -> NDArray[np.int32]:
    labels = np.zeros(SHAPE_HW, np.int32)
    for row, y in enumerate(range(40, SHAPE_HW[0] - 30, 70)):
        for column, x in enumerate(range(40, SHAPE_HW[1] - 30, 66)):
            cv2.circle(labels, (x, y), RADIUS, 1 + row * 6 + column, cv2.FILLED)
    return labels


def light(y: float, x: float, wide: float) -> NDArray[np.float32]:
    rows, columns = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]].astype(np.float32)
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * wide**2))


@pytest.mark.parametrize("strength", [0.0, 1.5, 4.0])
def test_lights_hide_few_nuclei(strength: float) -> None:
    labels = nuclei_on_a_grid()
    rng = np.random.default_rng(0)
    dna = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), 1.2) * CONTRAST
    lights = light(90, 110, 50) + light(210, 330, 80)
    dna += 20 + strength * CONTRAST * lights + rng.normal(0, 2, SHAPE_HW).astype(np.float32)
    at_half, at_most = compare_cells(labels, find_nuclei(dna, 2 * RADIUS + 1), [0.5, 0.75])
    assert at_half.f1 > 0.9
    assert at_most.f1 > 0.8
