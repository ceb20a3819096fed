"""Masks drawn back equal those they were made from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.encode import encode_cells
from hpa_mmdet.masks.label_image import label_image_from_rles, shrink_labels


@settings(max_examples=150, deadline=None)
@given(
    st_numpy.arrays(
        np.uint8,
        st_numpy.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
        elements=st.sampled_from([0, 0, 1, 2, 9]),
    )
)
def test_a_label_image_comes_back_unchanged(label_image: np.ndarray) -> None:
    cells = encode_cells(label_image)
    ids = [cell.cell_id for cell in cells]
    drawn = label_image_from_rles([cell.counts for cell in cells], label_image.shape, ids)
    assert drawn.dtype == np.int32
    assert (drawn == label_image).all()


def test_overlapping_masks_show_the_later_one() -> None:
    first = encode_cells(np.array([[1, 1, 0]]))[0].counts
    second = encode_cells(np.array([[0, 1, 1]]))[0].counts
    assert label_image_from_rles([first, second], (1, 3)).tolist() == [[1, 2, 2]]


@pytest.mark.parametrize("shape_hw", [(3, 7), (0, 4)])
def test_no_masks_give_an_empty_label_image(shape_hw: tuple[int, int]) -> None:
    drawn = label_image_from_rles([], shape_hw)
    assert drawn.shape == shape_hw
    assert not drawn.any()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        pytest.param(
            "2111", r"a.json: found a mask of 6 pixels, expected 12 \(4x3\)", id="another size"
        ),
        pytest.param("", "the mask's run lengths are damaged", id="empty"),
        pytest.param("2o", "the mask's run lengths are damaged", id="cut off"),
        pytest.param("2!", "a.json: the mask's run lengths are damaged", id="strange character"),
    ],
)
def test_a_broken_mask_is_refused(counts: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        label_image_from_rles([counts], (3, 4), where="a.json")


def test_ids_of_32_bits_are_drawn() -> None:
    label_image = np.array([[0, 2**32 - 1, 7], [7, 0, 2**31]], np.uint32)
    cells = encode_cells(label_image)
    ids = [cell.cell_id for cell in cells]
    assert ids == [7, 2**31, 2**32 - 1]
    drawn = label_image_from_rles([cell.counts for cell in cells], (2, 3), ids)
    assert drawn.tolist() == label_image.tolist()


def test_shrinking_loses_no_cell() -> None:
    large = np.zeros((40, 60), np.int32)
    large[2:22, 4:34] = 3
    large[31, 51] = 70_001  # the nearest pixels of the small picture miss it
    small = shrink_labels(large, (10, 15))
    assert small.shape == (10, 15)
    assert small.dtype == np.int32
    assert (small == 3).sum() == 5 * 8
    assert np.argwhere(small == 70_001).tolist() == [[7, 12]]
    assert shrink_labels(large, (40, 60)) is large
