"""The turns of a square: every one is undone, on boxes and masks alike."""

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.turns import TURNS, turns_named


def test_the_eight_turns_differ_and_begin_upright() -> None:
    image = np.arange(6).reshape(2, 3)
    seen = {
        turn.of_image(image).tobytes() + bytes(turn.of_image(image).shape) for turn in TURNS["d4"]
    }
    assert len(seen) == 8
    assert len(TURNS["flips"]) == 4
    assert np.array_equal(TURNS["d4"][0].of_image(image), image)


@pytest.mark.parametrize("number", range(8))
def test_boxes_and_masks_come_back(number: int) -> None:
    turn = TURNS["d4"][number]
    image = np.zeros((30, 50), int)
    image[4:9, 20:32] = 1  # x 20..32, y 4..9
    image[4, 20] = 2  # one corner marked, so that a mirrored mask differs
    turned = turn.of_image(image)
    rows, columns = np.nonzero(turned)
    y, x, y_end, x_end = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
    boxes = np.array([[x, y, x_end, y_end]], np.float32)
    assert turn.undo_boxes(boxes, turned.shape).tolist() == [[20, 4, 32, 9]]
    mask = turned[y:y_end, x:x_end]
    assert np.array_equal(turn.undo_masks(mask[None])[0], image[4:9, 20:32])


def test_no_boxes_stay_no_boxes() -> None:
    for turn in TURNS["d4"]:
        assert turn.undo_boxes(np.zeros((0, 4), np.float32), (3, 4)).shape == (0, 4)
        assert turn.undo_masks(np.zeros((0, 28, 28))).shape == (0, 28, 28)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="tta: found 'all', expected none, flips, d4; choose one"):
        turns_named("all")
