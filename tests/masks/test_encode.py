"""encode_cells: equal to pycocotools, clear about bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from pycocotools import mask as coco_mask

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.encode import encode_cells

SHAPE_HW = (23, 40)  # never square: swapped axes must fail


def assert_equals_pycocotools(label_image: np.ndarray) -> None:
    cells = encode_cells(label_image)
    assert [c.cell_id for c in cells] == np.unique(label_image[label_image > 0]).tolist()
    height, width = label_image.shape
    for cell in cells:
        mask = label_image == cell.cell_id
        want = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
        assert cell.counts == want["counts"].decode()
        assert (cell.area, list(cell.bbox_xywh)) == (mask.sum(), coco_mask.toBbox(want).tolist())
        border = np.zeros((height, width), bool)
        border[[0, -1]] = border[:, [0, -1]] = True
        assert cell.touches_border == (mask & border).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64, ">u2"])
@pytest.mark.parametrize("seed", range(3))
def test_every_cell_equals_pycocotools(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    label_image = np.zeros(SHAPE_HW, dtype)
    for cell_id in rng.choice(np.arange(1, 120), size=6, replace=False):  # ids with gaps
        y, x = rng.integers(SHAPE_HW)
        label_image[y : y + 12, x : x + 9] = cell_id  # overlaps split cells in parts
    label_image[-3:, 30] = label_image[:5, 31] = 120  # one run over a column break
    before = label_image.copy()
    assert_equals_pycocotools(label_image)
    assert (label_image == before).all()


@settings(max_examples=150, deadline=None)
@given(
    st_numpy.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32]),
        st_numpy.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
        elements=st.sampled_from([0, 0, 0, 1, 2, 7, 100]),  # holes, specks, parts, gaps in ids
    )
)
def test_any_small_label_image_equals_pycocotools(label_image: np.ndarray) -> None:
    assert_equals_pycocotools(label_image)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda image: image[::2, ::3], id="strided"),
        pytest.param(lambda image: image.T, id="transposed"),
        pytest.param(np.asfortranarray, id="column-major"),
        pytest.param(lambda image: image[:1], id="1xN"),
        pytest.param(lambda image: image[:, :1], id="Nx1"),
    ],
)
def test_memory_layout_does_not_matter(view) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    assert_equals_pycocotools(view(rng.integers(0, 4, SHAPE_HW).astype(np.uint16)))


@pytest.mark.parametrize(
    ("label_image", "message"),
    [
        pytest.param(np.zeros((2, 3, 3), np.uint8), "found 3-D uint8, expected 2-D", id="RGB"),
        pytest.param(np.zeros((2, 3)), "a.png: found 2-D float64", id="float"),
        pytest.param(np.array([[-1]]), "found id -1, expected ids >= 0", id="negative"),
    ],
)
def test_bad_input_says_what_was_found(label_image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_cells(label_image, "a.png")


@pytest.mark.parametrize("shape_hw", [SHAPE_HW, (0, 5), (5, 0)])
def test_an_image_without_cells_gives_no_entries(shape_hw: tuple[int, int]) -> None:
    assert encode_cells(np.zeros(shape_hw, np.uint8)) == []


def test_ids_past_16_bits_are_kept() -> None:
    label_image = np.arange(70_000, dtype=np.uint32).reshape(200, 350)
    cells = encode_cells(label_image)
    assert [cell.cell_id for cell in cells] == list(range(1, 70_000))
    assert encode_cells(np.array([[0, 2**32 - 1]], np.uint32))[0].cell_id == 2**32 - 1
