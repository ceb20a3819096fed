"""paste_masks: the cells that a literal full-size paste gives, and mmdet's own."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hpa_mmdet.masks.paste import paste_masks
from hpa_mmdet.masks.runs import runs_of_crop

SHAPE_HW = (61, 90)
BOXES = {
    "inside": (20.3, 11.8, 52.6, 40.1),
    "whole pixels": (10, 5, 38, 33),
    "cut left and top": (-7.5, -4.2, 20.7, 18.9),
    "cut right and bottom": (70.2, 40.5, 99.9, 80.25),
    "top to bottom": (30, 0, 50, 61),
    "wider than the image": (-10, -10, 120, 90),
    "small": (40.4, 20.2, 44.1, 23.3),
    "narrow": (40.6, 2.0, 41.7, 58.0),
}


def blob(seed: int, side: int = 28) -> np.ndarray:
    """A lobed cell that reaches beyond its box here and there."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    lobes = 2.5 * np.sin(np.arctan2(y, x) * rng.integers(2, 6) + rng.uniform(0, 6))
    probs = 1 / (1 + np.exp(np.hypot(y, x) - side * 0.42 - lobes))
    return (probs * rng.uniform(0.9, 1, probs.shape)).astype(np.float32)


def literal_paste(probs: np.ndarray, box: tuple[float, ...]) -> np.ndarray:
    """Bilinear reading at every pixel's centre, in float64, zero outside the samples."""
    padded = np.pad(probs.astype(np.float64), 1)
    mask = np.zeros(SHAPE_HW, bool)
    for row in range(SHAPE_HW[0]):
        for column in range(SHAPE_HW[1]):
            u = (column + 0.5 - box[0]) / (box[2] - box[0]) * probs.shape[1] + 0.5
            v = (row + 0.5 - box[1]) / (box[3] - box[1]) * probs.shape[0] + 0.5
            if not (0 <= u < probs.shape[1] + 1 and 0 <= v < probs.shape[0] + 1):
                continue
            i, j = int(v), int(u)
            a, b = v - i, u - j
            top = padded[i, j] * (1 - b) + padded[i, j + 1] * b
            bottom = padded[i + 1, j] * (1 - b) + padded[i + 1, j + 1] * b
            mask[row, column] = top * (1 - a) + bottom * a >= 0.5
    return mask


@pytest.mark.parametrize("side", [28, 14])
@pytest.mark.parametrize("name", BOXES)
def test_every_cell_equals_a_literal_paste(name: str, side: int) -> None:
    for seed in range(4):
        probs = blob(seed, side)
        (runs,) = paste_masks(probs[None], np.array([BOXES[name]]), SHAPE_HW)
        want = literal_paste(probs, BOXES[name])
        assert want.any()
        assert runs.to_counts() == runs_of_crop(want, 0, 0, SHAPE_HW).to_counts()


def test_masks_that_fill_their_boxes_touch_first_and_last_rows() -> None:
    full = np.ones((2, 28, 28), np.float32)
    first, second = paste_masks(full, np.array([[3, 0, 9, 61], [0, 50, 90, 61]]), SHAPE_HW)
    assert (first.bbox_xywh, first.area, first.starts.size) == ((3, 0, 6, 61), 366, 1)
    assert (second.bbox_xywh, second.area) == ((0, 50, 90, 11), 990)


@pytest.mark.parametrize(
    "box",
    [
        (90, 5, 99, 20), (95, 5, 99, 20), (-9, 5, 0, 20), (-20, 5, -9, 20), (20, 61, 30, 80),
        (20, -30, 30, 0), (20, 5, 20, 30), (20, 5, 30, 5), (30, 5, 20, 30),
    ],
)  # fmt: skip
def test_a_box_without_pixels_in_the_image_gives_no_runs(box: tuple[int, ...]) -> None:
    beside = (10, 5, 38, 33)
    full = np.ones((3, 28, 28), np.float32)
    first, nothing, last = paste_masks(full, np.array([beside, box, beside]), SHAPE_HW)
    assert (nothing.starts.size, nothing.area, nothing.bbox_xywh) == (0, 0, (0, 0, 0, 0))
    assert first.bbox_xywh == last.bbox_xywh == (10, 5, 28, 28)


def test_equal_to_stock_mmdet() -> None:
    from hpa_mmdet.compat import prepare

    prepare()
    import torch
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

    boxes = np.array(list(BOXES.values()), np.float32)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, SHAPE_HW[1])  # as mmdet's box head leaves them
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, SHAPE_HW[0])
    probs = np.stack([blob(seed) for seed in range(len(boxes))])
    pasted, _ = _do_paste_mask(
        torch.from_numpy(probs[:, None]), torch.from_numpy(boxes), *SHAPE_HW, skip_empty=False
    )
    for runs, stock in zip(paste_masks(probs, boxes, SHAPE_HW), pasted.numpy() >= 0.5, strict=True):
        want = coco_mask.encode(np.asfortranarray(stock, dtype=np.uint8))
        ours = {"size": list(SHAPE_HW), "counts": runs.to_counts().encode()}
        assert coco_mask.iou([ours], [want], [0])[0, 0] >= 0.999


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((5, 5, 5, 9), id="no width"),
        pytest.param((5.4, 5, 5.4, 9), id="no width inside a pixel"),
        pytest.param((5, 5.4, 9, 5.4), id="no height inside a pixel"),
        pytest.param((9, 9, 5, 12), id="turned round"),
        pytest.param((95, 5, 120, 30), id="right of the image"),
        pytest.param((5, -30, 20, -2), id="above the image"),
        pytest.param((5.6, 5.6, 5.9, 5.9), id="between pixel centres"),
    ],
)
def test_a_box_without_pixels_gives_an_empty_mask(box: tuple[float, ...]) -> None:
    empty, full = paste_masks(
        np.ones((2, 28, 28), np.float32), np.array([box, (1, 1, 4, 6)]), SHAPE_HW
    )
    assert (empty.area, full.area) == (0, 15)


def test_no_boxes() -> None:
    assert paste_masks(np.zeros((0, 28, 28), np.float32), np.zeros((0, 4)), SHAPE_HW) == []


def test_probabilities_below_the_threshold_give_no_pixel() -> None:
    (runs,) = paste_masks(np.full((1, 28, 28), 0.4), np.array([[2, 2, 30, 30]]), SHAPE_HW)
    assert runs.area == 0
