"""The symmetries of a square: every one is undone, on boxes and masks alike."""

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.geometry import SYMMETRIES, symmetries_named


def test_the_eight_differ_and_begin_with_the_image_as_it_is() -> None:
    image = np.arange(6).reshape(2, 3)
    seen = {
        symmetry.apply(image).tobytes() + bytes(symmetry.apply(image).shape)
        for symmetry in SYMMETRIES["d4"]
    }
    assert len(seen) == 8
    assert len(SYMMETRIES["flips"]) == 4
    assert np.array_equal(SYMMETRIES["d4"][0].apply(image), image)


@pytest.mark.parametrize("number", range(8))
def test_boxes_and_masks_come_back(number: int) -> None:
    symmetry = SYMMETRIES["d4"][number]
    image = np.zeros((30, 50), int)
    image[4:9, 20:32] = 1  # x 20..32, y 4..9
    image[4, 20] = 2  # one corner marked, so that a mirrored mask differs
    moved = symmetry.apply(image)
    rows, columns = np.nonzero(moved)
    y, x, y_end, x_end = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    boxes = np.array([[x, y, x_end, y_end]], np.float32)
    assert symmetry.undo_boxes(boxes, moved.shape).tolist() == [[20, 4, 32, 9]]
    mask = moved[y:y_end, x:x_end]
    assert np.array_equal(symmetry.undo_masks(mask[None])[0], image[4:9, 20:32])


def test_no_boxes_stay_no_boxes() -> None:
    for symmetry in SYMMETRIES["d4"]:
        assert symmetry.undo_boxes(np.zeros((0, 4), np.float32), (3, 4)).shape == (0, 4)
        assert symmetry.undo_masks(np.zeros((0, 28, 28))).shape == (0, 28, 28)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        InputError, match="--tta: found 'all', expected none, flips, d4; choose one"
    ):
        symmetries_named("all")
