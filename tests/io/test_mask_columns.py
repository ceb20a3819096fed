"""Masks cut into columns: nothing lost, whatever their shape."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from hpa_mmdet.io.mask_columns import MaskColumns, to_columns
from hpa_mmdet.io.run_lengths import decode_runs


def cut(masks: list[np.ndarray], height: int) -> MaskColumns:
    texts = [coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"] for mask in masks]
    runs = decode_runs(texts)
    assert runs is not None
    return to_columns(runs, height)


def draw(columns: MaskColumns, which: int, shape_hw: tuple[int, int]) -> np.ndarray:
    """Draw one mask stretch by stretch; a pixel that is in two of them becomes 2."""
    drawn = np.zeros(shape_hw, int)
    for strip in range(columns.edges[which], columns.edges[which + 1]):
        left, right = columns.spans[:, strip]
        start = columns.starts[strip]
        rows = columns.stretches[start : start + right - left]
        for column, (first, minus_end) in zip(range(left, right), rows, strict=True):
            drawn[first:-minus_end, column] += 1
    return drawn


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_drawn_again_they_are_the_masks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 14, 2))
    masks = [rng.random((height, width)) < rng.choice([0, 0.1, 0.6, 1]) for _ in range(4)]
    columns = cut(masks, height)
    for which, mask in enumerate(masks):
        assert np.array_equal(draw(columns, which, mask.shape), mask)
        assert columns.areas[which] == mask.sum()
        box = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask, np.uint8)))
        left, right, top, bottom = columns.boxes[:, which]
        if mask.any():
            across, down = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
            assert (left, right) == (box[0], across[-1] + 1)
            assert (top, bottom) == (down[0], down[-1] + 1)
        else:
            assert right == left


def test_a_ring_is_two_strips_and_a_disc_one() -> None:
    ring = np.zeros((7, 9), bool)
    ring[1:6, 2:8] = True
    disc = ring.copy()
    ring[3, 4:6] = False
    columns = cut([ring, disc], 7)
    assert columns.edges.tolist() == [0, 2, 3]
    assert columns.spans.T.tolist() == [[2, 8], [4, 6], [2, 8]]
    assert columns.stretches.dtype == np.int16


def test_a_run_over_a_column_break_is_cut() -> None:
    mask = np.zeros((5, 4), bool)
    mask[3:, 1] = mask[:, 2] = mask[0, 3] = True
    columns = cut([mask], 5)
    assert columns.stretches.tolist() == [[3, -5], [0, -5], [0, -1]]
    assert cut([np.ones((5, 4), bool)], 5).stretches.tolist() == [[0, -5]] * 4


def test_no_masks_and_masks_without_pixels() -> None:
    assert cut([], 5).stretches.shape == (0, 2)
    blank = cut([np.zeros((5, 4), bool)], 5)
    assert (blank.areas.tolist(), blank.edges.tolist()) == ([0], [0, 0])


def test_tall_images_keep_their_rows() -> None:
    mask = np.zeros((40_000, 2), bool)
    mask[39_990:39_995, 1] = True
    columns = cut([mask], 40_000)
    assert columns.stretches.tolist() == [[39_990, -39_995]]
    assert columns.stretches.dtype == np.int32
