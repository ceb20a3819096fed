"""MaskRuns: equal to pycocotools in both directions, for any mask."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.rle import _batches, decode_counts
from hpa_mmdet.masks.runs import (
    MaskRuns,
    clip_runs,
    masks_from_counts,
    merge_runs,
    runs_from_counts,
    runs_of_crop,
)

SHAPE_HW = (23, 40)  # never square: swapped axes must fail


def some_mask(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE_HW, bool)
    for _ in range(seed % 4 + 1):
        y, x = rng.integers(SHAPE_HW)
        mask[y : y + rng.integers(1, 15), x : x + rng.integers(1, 15)] = True
    if seed % 3 == 0:
        mask &= rng.random(SHAPE_HW) > 0.3
    if seed % 5 == 0:
        mask[:, 12:15] = True  # full columns: one run over the breaks
    mask[0, 0], mask[-1, -1] = seed % 2, seed % 7 == 0
    return mask


def encoded(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


@pytest.mark.parametrize("seed", range(20))
def test_runs_equal_pycocotools(seed: int) -> None:
    mask = some_mask(seed)
    want = encoded(mask)
    text = want["counts"].decode()
    for runs in (runs_of_crop(mask, 0, 0, SHAPE_HW), runs_from_counts(text, SHAPE_HW)):
        assert runs.to_counts() == text
        assert runs.area == mask.sum()
        assert list(runs.bbox_xywh) == coco_mask.toBbox(want).tolist()
        x, y, width, height = runs.bbox_xywh
        assert np.array_equal(runs.crop(), mask[y : y + height, x : x + width])
        assert np.array_equal(runs.crop((5, 3, 20, 11)), mask[3:14, 5:25])
        rows, columns = np.nonzero(mask)
        assert runs.centroid_xy == pytest.approx((columns.mean(), rows.mean()))
        edge = mask[[0, -1]].any() or mask[:, [0, -1]].any()
        assert runs.touches_border == edge


def test_a_crop_is_placed_in_its_image() -> None:
    part = some_mask(3)[2:20, 5:31]
    whole = np.zeros(SHAPE_HW, bool)
    whole[4:22, 9:35] = part
    assert runs_of_crop(part, 9, 4, SHAPE_HW).to_counts() == encoded(whole)["counts"].decode()


def test_large_run_lengths_survive_the_string() -> None:
    shape_hw = (3000, 2000)
    mask = np.zeros(shape_hw, bool)
    mask[100:2900, 1500], mask[5, 1501], mask[:, 1700:1900] = True, True, True
    text = encoded(mask)["counts"].decode()
    runs = runs_from_counts(text, shape_hw)
    assert runs.to_counts() == text
    assert runs.area == mask.sum()


def test_a_mask_without_pixels() -> None:
    text = encoded(np.zeros(SHAPE_HW, bool))["counts"].decode()
    runs = runs_from_counts(text, SHAPE_HW)
    assert (runs.area, runs.bbox_xywh, runs.touches_border) == (0, (0, 0, 0, 0), False)
    assert runs.to_counts() == text
    assert not runs.crop((0, 0, 5, 4)).any()
    assert runs_of_crop(np.zeros((0, 4), bool), 3, 3, SHAPE_HW).to_counts() == text


def test_touching_runs_are_joined() -> None:
    starts, ends = merge_runs(np.array([0, 5, 9]), np.array([5, 7, 12]))
    assert (starts.tolist(), ends.tolist()) == ([0, 9], [7, 12])
    assert MaskRuns(starts, ends, SHAPE_HW).area == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("PPPP4", r"found a mask of 4194304 pixels, expected 920", id="other size"),
        pytest.param("12", r"found a mask of 3 pixels, expected 920 \(40x23\)", id="short"),
        pytest.param("a text", "the mask's run lengths are damaged", id="no"),
        pytest.param("", "the mask's run lengths are damaged", id="nothing"),
        pytest.param("1\u00e9", "the mask's run lengths are damaged", id="not ASCII"),
    ],
)
def test_counts_of_another_image_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"a.json: {message}"):
        runs_from_counts(text, SHAPE_HW, "a.json")


def test_a_number_has_seven_groups_at_most() -> None:
    (lengths,) = decode_counts([b"PPPPPP4"])  # 4 * 2**30
    assert lengths.tolist() == [4 << 30]
    assert decode_counts([b"PPPPPPP4"]) is None


def test_an_image_without_pixels_has_masks_too() -> None:
    assert runs_from_counts("0", (0, 5)).area == 0
    with pytest.raises(InputError, match="run lengths are damaged"):
        runs_from_counts("~~", (0, 5))


def test_runs_without_pixels_are_taken_out() -> None:
    """Run lengths of other tools may hold zeros: the same mask is the same runs."""
    for lengths, whole in (
        ([3, 0, 2, 4, 0, 2, 909], [5, 6, 909]),
        ([0, 4, 0, 3, 913], [0, 7, 913]),
        ([5, 2, 913, 0], [5, 2, 913]),
        ([0, 920], [0, 920]),
    ):
        texts = [
            coco_mask.frPyObjects({"size": [23, 40], "counts": counts}, 23, 40)["counts"]
            for counts in (lengths, whole)
        ]
        first, second = masks_from_counts(texts, SHAPE_HW)
        assert first.starts.tolist() == second.starts.tolist()
        assert first.ends.tolist() == second.ends.tolist()
        assert first.to_counts() == second.to_counts()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("box", [(5, 3, 20, 11), (0, 0, 40, 23), (12, 0, 3, 23), (39, 22, 1, 1)])
def test_a_part_of_a_mask(seed: int, box: tuple[int, int, int, int]) -> None:
    mask = some_mask(seed)
    x, y, width, height = box
    part = np.zeros(SHAPE_HW, bool)
    part[y : y + height, x : x + width] = mask[y : y + height, x : x + width]
    clipped = clip_runs(runs_of_crop(mask, 0, 0, SHAPE_HW), box)
    assert clipped.to_counts() == encoded(part)["counts"].decode()


def test_strings_are_decoded_in_batches_of_a_bounded_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hpa_mmdet.masks.rle._BATCH_CHARACTERS", 10)
    lengths = [4, 4, 2, 1, 30, 9, 1, 1]
    texts = [bytes([65 + place]) * length for place, length in enumerate(lengths)]
    batches = list(_batches(texts))
    assert [text for batch in batches for text in batch] == texts
    assert [[len(text) for text in batch] for batch in batches] == [
        [4, 4, 2],
        [1],
        [30],
        [9, 1],
        [1],
    ]
    assert list(_batches([])) == []
