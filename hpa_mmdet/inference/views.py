"""What the model is shown of an image, and what it says, brought back to the image.

A view is one tile of an image in one turn. H, W: image height and width in pixels; C:
channels; N: cells; m: side of a predicted mask; K = 19.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hpa_mmdet.compat import prepare
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.tiles import Tile
from hpa_mmdet.inference.turns import Turn
from hpa_mmdet.io.bit_depth import to_uint8
from hpa_mmdet.io.large_images import LargeImage
from hpa_mmdet.localizations import NUM_LOCALIZATIONS

prepare()

from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.structures.mask import BitmapMasks  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402


@dataclass(frozen=True, eq=False)
class ImageRequest:
    """An image to predict.

    Args:
        image_id: its HPA id.
        image: (H, W, C) uint8 or uint16, channels in the model's order; a large one may be
            on disk still.
        label_image: (H, W) integer, the cells to name; None to have them found.
    """

    image_id: str
    image: NDArray[np.integer] | LargeImage
    label_image: NDArray[np.integer] | None = None

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.image.shape[0], self.image.shape[1])


@dataclass(frozen=True, eq=False)
class View:
    """One input of the model: see the module. `scale` is input pixels per image pixel."""

    tile: Tile
    turn: Turn
    scale: float
    inputs: torch.Tensor
    cell_ids: tuple[int, ...] | None
    given: InstanceData | None


@dataclass(frozen=True, eq=False)
class Detections:
    """What the model says of one view, upright and in pixels of the whole image.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,) p(cell).
        mask_probs: (N, m, m), each stretched over its box; (N, 0, 0) for given cells.
        localization_scores: (N, K) p(k | cell).
        image_probs: (K,), or None where the model has no image head.
        cell_ids: of given cells.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    mask_probs: NDArray[np.float32]
    localization_scores: NDArray[np.float32]
    image_probs: NDArray[np.float32] | None
    cell_ids: tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image and the views that the network gets of it.

    Args:
        request: the image.
        tiles: that it is cut into.
        turns: of each tile.
        scale: input pixels per image pixel.
        ready: the views, where they are made already.
    """

    request: ImageRequest
    tiles: Sequence[Tile]
    turns: Sequence[Turn]
    scale: float
    ready: tuple[tuple[int, View], ...] | None = None

    @property
    def count(self) -> int:
        """How many views there are."""
        return len(self.tiles) * len(self.turns)

    def views(self) -> Iterator[tuple[int, View]]:
        """The number of its tile, and the view."""
        if self.ready is not None:
            yield from self.ready
            return
        for number, tile in enumerate(self.tiles):
            for turn in self.turns:
                yield number, make_view(self.request, tile, turn, self.scale)


def make_view(request: ImageRequest, tile: Tile, turn: Turn, scale: float) -> View:
    """Cut, bring to 8 bit, resize once, turn."""
    part = to_uint8(request.image[tile.y : tile.bottom, tile.x : tile.right])
    size_wh = (max(1, round(tile.width * scale)), max(1, round(tile.height * scale)))
    if size_wh != (tile.width, tile.height):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(part, size_wh, interpolation=method)
        part = resized.reshape(*size_wh[::-1], -1).astype(np.uint8, copy=False)
    inputs = np.ascontiguousarray(turn.of_image(part).transpose(2, 0, 1))
    cell_ids, given = None, None
    if request.label_image is not None:
        labels = request.label_image[tile.y : tile.bottom, tile.x : tile.right]
        cell_ids, given = _given_cells(labels, size_wh, turn)
    return View(tile, turn, scale, torch.from_numpy(inputs), cell_ids, given)


def sample_of(view: View, number: int) -> DetDataSample:
    """Describe a view as mmdet's detectors want it."""
    shape_hw = tuple(view.inputs.shape[1:])
    sample = DetDataSample(
        metainfo={
            "img_id": number,
            "ori_shape": shape_hw,
            "img_shape": shape_hw,
            "scale_factor": (1.0, 1.0),
        }
    )
    if view.given is not None:
        sample.given_instances = view.given
    return sample


def read_sample(sample: DetDataSample, view: View, image_id: str) -> Detections:
    """Take a model's answer to pixels of the whole image.

    Raises:
        InputError: it holds a number that is not finite, which must never reach a file.
    """
    found = sample.pred_instances
    count = len(found.scores)
    boxes = view.turn.undo_boxes(_array(found.bboxes), (view.inputs.shape[1], view.inputs.shape[2]))
    boxes = boxes / view.scale + np.array([view.tile.x, view.tile.y] * 2, np.float32)
    masks = np.zeros((count, 0, 0), np.float32)
    if view.given is None:
        masks = view.turn.undo_masks(_array(found.mask_probs))
    named = "localization_scores" in found
    scores = _array(found.localization_scores) if named else np.ones((count, NUM_LOCALIZATIONS))
    image_probs = sample.get("image_probs")
    answer = Detections(
        boxes.astype(np.float32),
        _array(found.scores),
        masks,
        scores.astype(np.float32),
        None if image_probs is None else _array(image_probs),
        view.cell_ids,
    )
    for part in (answer.boxes_xyxy, answer.scores, answer.mask_probs, answer.localization_scores):
        if not np.isfinite(part).all():
            raise InputError(
                f"image {image_id}",
                "a score, box or mask that is not a finite number from the model",
                "finite numbers",
                "look for a broken checkpoint or pixels, or run without --amp",
            )
    return answer


def _given_cells(
    labels: NDArray[np.integer], size_wh: tuple[int, int], turn: Turn
) -> tuple[tuple[int, ...], InstanceData]:
    """Cell ids, and boxes and masks in the network's input; rising by id."""
    from scipy import ndimage

    ids = np.unique(labels)
    ids = ids[ids > 0]
    dense = np.searchsorted(ids, labels).astype(np.int32) + 1
    dense[labels == 0] = 0
    if size_wh != (labels.shape[1], labels.shape[0]):
        small = cv2.resize(dense.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST)
        dense = _keep_small_cells(small.astype(np.int32), dense)
    dense = turn.of_image(dense)
    masks = np.zeros((len(ids), *dense.shape), np.uint8)
    boxes = np.zeros((len(ids), 4), np.float32)
    for row, place in enumerate(ndimage.find_objects(dense, len(ids))):
        if place is None:
            continue
        rows, columns = place
        masks[row][place] = dense[place] == row + 1
        boxes[row] = (columns.start, rows.start, columns.stop, rows.stop)
    given = InstanceData(
        bboxes=torch.from_numpy(boxes),
        labels=torch.zeros(len(ids), dtype=torch.long),
        masks=BitmapMasks(masks, *dense.shape),
    )
    return tuple(int(each) for each in ids), given


def _keep_small_cells(small: NDArray[np.int32], full: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give each cell that shrinking lost one pixel at its middle."""
    lost = np.setdiff1d(np.unique(full), np.unique(small))
    for cell in lost:
        rows, columns = np.nonzero(full == cell)
        y = int(np.median(rows) * small.shape[0] / full.shape[0])
        x = int(np.median(columns) * small.shape[1] / full.shape[1])
        small[y, x] = cell
    return small


def _array(tensor: Any) -> NDArray[np.float32]:
    tensor = getattr(tensor, "tensor", tensor)  # mmdet's box classes
    array: NDArray[np.float32] = torch.as_tensor(tensor).detach().float().cpu().numpy()
    return array
