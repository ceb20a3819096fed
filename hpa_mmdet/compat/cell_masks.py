"""Masks of cells, each kept as the pixels inside its box.

mmdet's heads take N masks of H x W pixels, nearly all of them background: 0.8 GB for 200
cells at 2048 pixels, and four times that for each target. Here nothing of that size is made,
neither in the loader's workers nor for the mask head's targets.

N: cells; P: proposals; H, W: size of the image in pixels; h, w: size of a map.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.ops import roi_align
from mmdet.structures.mask import BitmapMasks
from numpy.typing import NDArray
from scipy import ndimage

_MARGIN = 2  # pixels around a box that bilinear sampling can reach


class CellMasks(BitmapMasks):
    """mmdet's `BitmapMasks` with the same pixels, of which only the boxes are stored.

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

    @property
    def masks(self) -> NDArray[np.uint8]:
        """(N, H, W) of 0 and 1, made anew at each access: for tests and foreign code."""
        masks = np.zeros((len(self.crops), self.height, self.width), np.uint8)
        for mask, crop, (x, y) in zip(masks, self.crops, self.corners, strict=True):
            mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        return masks

    @property
    def areas(self) -> NDArray[np.int64]:
        """(N,) pixels of each cell."""
        return np.array([int(crop.sum()) for crop in self.crops], np.int64)

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: Any) -> "CellMasks":
        rows = np.atleast_1d(np.arange(len(self))[index]).tolist()
        crops, corners = [self.crops[row] for row in rows], [self.corners[row] for row in rows]
        return CellMasks(crops, corners, self.height, self.width)

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        """Give the masks of an image with rows below and columns to the right."""
        if pad_val:
            return super().pad(out_shape, pad_val)
        return CellMasks(self.crops, self.corners, *out_shape)

    def crop_and_resize(
        self,
        bboxes: NDArray[np.float32] | torch.Tensor,
        out_shape: tuple[int, int],
        inds: NDArray[np.int64] | torch.Tensor,
        device: str | torch.device = "cpu",
        interpolation: str = "bilinear",
        binarize: bool = True,
    ) -> BitmapMasks:
        """Make the mask head's targets, cell by cell, from the pixels in each cell's box.

        Args:
            bboxes: (P, 4) xyxy in pixels.
            out_shape: height and width of a target.
            inds: (P,) the cell of each box.
            device: unused: the masks lie in host memory, and so do mmdet's targets.
            interpolation: unused, as in mmdet.
            binarize: whether targets are 0 and 1, or shares.

        Returns:
            P masks of `out_shape`, equal to mmdet's own.
        """
        boxes = torch.as_tensor(bboxes, dtype=torch.float32).cpu()
        rows = torch.as_tensor(inds).cpu()
        targets = torch.zeros(len(boxes), *out_shape)
        for row in rows.unique().tolist():
            chosen = (rows == row).nonzero()[:, 0]
            window, (x, y) = self._window(row)
            shifted = boxes[chosen] - boxes.new_tensor([x, y, x, y])
            regions = torch.cat([shifted.new_zeros(len(chosen), 1), shifted], 1)
            pixels = torch.from_numpy(window).float()[None, None]
            targets[chosen] = roi_align(pixels, regions, out_shape, 1.0, 0, "avg", True)[:, 0]
        values = targets >= 0.5 if binarize else targets
        return BitmapMasks(values.numpy(), *out_shape)

    def sample(self, stride: int, shape_hw: tuple[int, int]) -> torch.Tensor:
        """Bring the masks to a map's resolution.

        Args:
            stride: image pixels per map pixel.
            shape_hw: the map's (h, w).

        Returns:
            (N, h, w) float of 0 and 1: of each map pixel the image pixel at its middle.
        """
        sampled = torch.zeros(len(self), *shape_hw)
        for cell, crop, (x, y) in zip(sampled, self.crops, self.corners, strict=True):
            rows, columns = _middles(y, crop.shape[0], stride), _middles(x, crop.shape[1], stride)
            part = torch.from_numpy(crop[np.ix_(rows - y, columns - x)]).float()
            top, left = (int(start[0]) // stride if len(start) else 0 for start in (rows, columns))
            inside = cell[top : top + len(rows), left : left + len(columns)]
            inside.copy_(part[: inside.shape[0], : inside.shape[1]])
        return sampled

    def _window(self, row: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """A cell's pixels with a margin of background, which ends where the image does."""
        crop, (x, y) = self.crops[row], self.corners[row]
        before = (min(_MARGIN, y), min(_MARGIN, x))
        after = (
            min(_MARGIN, self.height - y - crop.shape[0]),
            min(_MARGIN, self.width - x - crop.shape[1]),
        )
        padded = np.pad(crop, list(zip(before, after, strict=True)))
        return padded, (x - before[1], y - before[0])

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


def cut_cells(
    label_image: NDArray[np.integer], min_side_px: int = 1
) -> tuple[list[int], NDArray[np.float32], CellMasks]:
    """Cut the cells out of a label image.

    Args:
        label_image: (H, W); 0 is background.
        min_side_px: cells whose box is narrower or lower are left out.

    Returns:
        The cells' values, in rising order; their boxes, (N, 4) float32 xyxy; their masks.
    """
    values: list[int] = []
    boxes: list[tuple[int, int, int, int]] = []
    crops: list[NDArray[np.uint8]] = []
    for value, place in enumerate(ndimage.find_objects(label_image), start=1):
        if place is None or min(part.stop - part.start for part in place) < min_side_px:
            continue
        rows, columns = place
        values.append(value)
        boxes.append((columns.start, rows.start, columns.stop, rows.stop))
        crops.append((label_image[place] == value).astype(np.uint8))
    masks = CellMasks(crops, [(x, y) for x, y, _, _ in boxes], *label_image.shape)
    return values, np.array(boxes, np.float32).reshape(-1, 4), masks


def _middles(start: int, length: int, stride: int) -> NDArray[np.int64]:
    """Image rows (or columns) in start..start+length that are the middle of a map pixel."""
    first = start + (stride // 2 - start) % stride
    return np.arange(first, start + length, stride)
