"""Masks of cells kept as the pixels in their boxes, which is all of them that is not 0.

N masks of H x W pixels are what mmdet's heads take, and nearly all of them are background:
a loader's worker would write it, pass it through a pipe, and padding would copy it.

N: cells; H, W: size of the image in pixels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.structures.mask import BitmapMasks
from numpy.typing import NDArray


class CellMasks(BitmapMasks):
    """mmdet's `BitmapMasks` with the same pixels, spread over the image when they are used.

    Args:
        crops: of each cell its mask (h, w) uint8 of 0 and 1, inside its box.
        corners: of each cell x and y of its box's first pixel.
        height: of the image.
        width: of the image.
    """

    def __init__(
        self,
        crops: Sequence[NDArray[np.uint8]],
        corners: Sequence[tuple[int, int]],
        height: int,
        width: int,
    ) -> None:
        self.crops, self.corners = list(crops), list(corners)
        self.height, self.width = height, width
        self._masks: NDArray[np.uint8] | None = None

    @property
    def masks(self) -> NDArray[np.uint8]:
        """(N, H, W) of 0 and 1."""
        if self._masks is None:
            # zeros from the system: only what a cell covers is ever written
            self._masks = np.zeros((len(self.crops), self.height, self.width), np.uint8)
            for mask, crop, (x, y) in zip(self._masks, self.crops, self.corners, strict=True):
                mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return self._masks

    def __len__(self) -> int:
        return len(self.crops)

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        """Give the masks of an image with rows below and columns to the right."""
        if pad_val or self._masks is not None:
            return super().pad(out_shape, pad_val)
        return CellMasks(self.crops, self.corners, *out_shape)

    def __getstate__(self) -> dict[str, Any]:
        flat = [crop.ravel() for crop in self.crops]
        return {
            "bits": np.packbits(np.concatenate(flat)) if flat else np.empty(0, np.uint8),
            "shapes": [crop.shape for crop in self.crops],
            "corners": self.corners,
            "size": (self.height, self.width),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        sizes = [height * width for height, width in state["shapes"]]
        flat = np.unpackbits(state["bits"], count=sum(sizes))
        parts = np.split(flat, np.cumsum(sizes)[:-1]) if sizes else []
        crops = [part.reshape(shape) for part, shape in zip(parts, state["shapes"], strict=True)]
        self.__init__(crops, state["corners"], *state["size"])  # type: ignore[misc]
