"""A cell whose nucleus is not seen is not given to its neighbour."""

import numpy as np
import pytest

from hpa_mmdet.segment.cells import grow_cells


def disc(centre_yx: tuple[float, float], radius: float, shape_hw: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    return np.hypot(y - centre_yx[0], x - centre_yx[1]) < radius


@pytest.mark.parametrize(
    ("thickness", "taken"),
    [
        pytest.param(60, False, id="a cell whose nucleus is not seen"),
        pytest.param(10, True, id="the cell's own long end"),
    ],
)
def test_a_thick_part_far_from_every_nucleus_is_another_cell(thickness: int, taken: bool) -> None:
    shape_hw = (120, 300)
    nuclei = disc((60, 40), 10, shape_hw).astype(np.int32)
    plane = np.zeros(shape_hw, np.float32)
    plane[30:90, 15:85] = 100
    plane[60 - thickness // 2 : 60 + thickness // 2, 85:220] = 100
    plane[:, 85:90] = np.minimum(plane[:, 85:90], 15)  # a seam
    found = grow_cells(nuclei, [plane], 20)
    assert (found[40:80, 25:80] == 1).all()
    assert (found[58:62, 130:215] == 1).mean() == pytest.approx(float(taken), abs=0.1)
    # each of the two goes to its own nucleus where both are seen
    nuclei[disc((60, 160), 10, shape_hw)] = 2
    both = grow_cells(nuclei, [plane], 20)
    assert (both[58:62, 130:215] == 2).all()


@pytest.mark.parametrize(("side", "taken"), [(40, False), (14, True)])
def test_a_square_behind_a_bridge_is_another_cell_if_it_is_large(side: int, taken: bool) -> None:
    shape_hw = (120, 240)
    nuclei = disc((60, 40), 10, shape_hw).astype(np.int32)
    plane = np.zeros(shape_hw, np.float32)
    plane[30:90, 15:85] = 100
    plane[55:65, 85:150] = 60  # a bridge to a square
    plane[60 - side // 2 : 60 + side // 2, 150 : 150 + side] = 100
    found = grow_cells(nuclei, [plane], 20)
    inside = found[60 - side // 4 : 60 + side // 4, 150 + side // 4 : 150 + side // 2]
    assert (inside == 1).mean() == pytest.approx(float(taken), abs=0.1)
