"""The eight turns of a square: on images, on boxes and on masks, there and back.

H, W: image height and width in pixels; C: channels; N: cells; m: side of a mask.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError


class Turn(NamedTuple):
    """One turn: rows and columns are swapped first, then columns and rows are reversed."""

    transpose: bool
    flip_x: bool
    flip_y: bool

    def of_image(self, image: NDArray[Any]) -> NDArray[Any]:
        """Turn (H, W, ...) pixels; a view is returned."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def undo_boxes(
        self, boxes_xyxy: NDArray[np.floating], turned_hw: tuple[int, int]
    ) -> NDArray[np.floating]:
        """Turn (N, 4) boxes of a turned image of size `turned_hw` back."""
        x, y = boxes_xyxy[:, [0, 2]], boxes_xyxy[:, [1, 3]]
        if self.flip_x:
            x = turned_hw[1] - x[:, ::-1]
        if self.flip_y:
            y = turned_hw[0] - y[:, ::-1]
        if self.transpose:
            x, y = y, x
        return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)

    def undo_masks(self, masks: NDArray[Any]) -> NDArray[Any]:
        """Turn (N, m, m) masks back; a view is returned."""
        masks = masks[:, :: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return masks.swapaxes(1, 2) if self.transpose else masks


UPRIGHT = Turn(False, False, False)
_FLIPS = tuple(Turn(False, x, y) for y in (False, True) for x in (False, True))
TURNS: dict[str, tuple[Turn, ...]] = {
    "none": (UPRIGHT,),
    "flips": _FLIPS,
    "d4": (*_FLIPS, *(Turn(True, x, y) for y in (False, True) for x in (False, True))),
}


def turns_named(name: str) -> tuple[Turn, ...]:
    """Look the turns of a test-time augmentation up.

    Raises:
        InputError: it has another name.
    """
    if name not in TURNS:
        raise InputError("tta", repr(name), ", ".join(TURNS), "choose one of them")
    return TURNS[name]
