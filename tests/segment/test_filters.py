"""The threshold between dark and bright, where there is any."""

import numpy as np
import pytest

from hpa_mmdet.segment.filters import otsu_level


def test_otsu_level_parts_two_brightnesses() -> None:
    values = np.r_[np.full(50, 10.0), np.full(30, 90.0)].astype(np.float32)
    level = otsu_level(values)
    assert level is not None
    assert 10 <= level < 90


@pytest.mark.parametrize("value", [0.0, 12.0, -3.5, 1e-6])
def test_values_that_hardly_differ_have_no_otsu_level(value: float) -> None:
    values = np.full((9, 13), value, np.float32)
    assert otsu_level(values) is None
    values[4, 4] = np.nextafter(values[4, 4], np.float32(100))  # one step of float32
    assert otsu_level(values) is None
