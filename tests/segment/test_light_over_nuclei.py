"""Nuclei under blurred lights are found, with their own outlines."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hpa_mmdet.segment.agreement import compare_cells
from hpa_mmdet.segment.nuclei import _to_half_height, find_nuclei, over_background

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


def test_a_bright_strip_a_few_nuclei_wide_is_background_in_its_middle() -> None:
    diameter = 30
    plane = np.full((200, 500), 20, np.float32)
    plane[:, 160:340] = 120  # six diameters
    over = over_background(plane, diameter)
    assert np.abs(over[:, 240:260]).max() < 10
    assert np.abs(over[:, :40]).max() < 10


def test_of_a_nucleus_darker_than_what_lies_around_the_brightest_part_stays() -> None:
    bright = np.full((100, 120), 40, np.float32)
    label_image = np.zeros((100, 120), np.int32)
    label_image[30:60, 40:70] = 1
    bright[30:60, 40:50], bright[30:60, 50:60], bright[30:60, 60:70] = 10, 20, 25
    grown = _to_half_height(label_image, bright, 30)
    assert (grown[30:60, 60:70] == 1).all()
    assert not grown[30:60, 40:60].any()
