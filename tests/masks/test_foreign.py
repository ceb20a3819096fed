"""Segmentations of any COCO tool: what pycocotools makes of good ones; bad ones never reach it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.foreign import compress_segmentation
from hpa_mmdet.masks.rle import check_counts

SHAPE_HW = (23, 40)  # never square: swapped axes must fail


def test_a_compressed_string_is_handed_on() -> None:
    rle = {"size": [23, 40], "counts": "any text"}
    assert compress_segmentation(rle, SHAPE_HW, "a") == b"any text"


def test_run_lengths_equal_pycocotools() -> None:
    counts = [5, 3, 30, 2, 23 * 40 - 40]
    want = coco_mask.frPyObjects({"size": [23, 40], "counts": counts}, *SHAPE_HW)["counts"]
    assert compress_segmentation({"size": [23, 40], "counts": counts}, SHAPE_HW, "a") == want


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(-60, 80), min_size=6, max_size=14).filter(lambda p: len(p) % 2 == 0),
        min_size=1,
        max_size=3,
    )
)
def test_polygons_equal_pycocotools(polygons: list[list[float]]) -> None:
    want = coco_mask.merge(coco_mask.frPyObjects(polygons, *SHAPE_HW))["counts"]
    counts = compress_segmentation(polygons, SHAPE_HW, "a")
    assert counts == want
    check_counts([counts], SHAPE_HW, lambda _: "a")


RLE = {"size": [23, 40], "counts": [920]}


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        pytest.param(None, "it has no segmentation", id="null"),
        pytest.param([], "it has no segmentation", id="empty"),
        pytest.param("text", "it has no segmentation", id="text"),
        pytest.param(
            {**RLE, "size": [40, 23]}, r"found segmentation.size \[40, 23\]", id="swapped"
        ),
        pytest.param({"counts": [920]}, "found segmentation.size None", id="no size"),
        pytest.param({"size": [23, 40]}, "segmentation.counts are no run lengths", id="no counts"),
        pytest.param({**RLE, "counts": "é"}, "counts are no run lengths", id="not ASCII"),
        pytest.param(
            {**RLE, "counts": [900]}, r"a mask of 900 pixels, expected 920 \(40x23\)", id="sum"
        ),
        pytest.param({**RLE, "counts": []}, "found a mask of 0 pixels", id="no runs"),
        pytest.param(
            {**RLE, "counts": [-1, 921]}, "a length that is no whole number", id="negative"
        ),
        pytest.param({**RLE, "counts": [920.0]}, "a length that is no whole number", id="float"),
        pytest.param({**RLE, "counts": [True, 919]}, "a length that is no whole", id="bool"),
        pytest.param({**RLE, "counts": [10**30]}, "a length that is no whole number", id="huge"),
        pytest.param([1, 2, 3, 4, 5, 6], "no list of three or more corners", id="flat"),
        pytest.param([[1, 2, 3, 4]], "no list of three or more corners", id="two corners"),
        pytest.param([[1, 2, 3, 4, 5, 6, 7]], "no list of three or more corners", id="odd"),
        pytest.param([[1, 2, 3, 4, 5, "6"]], "a corner that is no number", id="text corner"),
        pytest.param([[1, 2, 3, 4, 5, None]], "a corner that is no number", id="null corner"),
        pytest.param([[0, 0, 1e9, 0, 1e9, 1e9]], r"a corner at 1e\+09, far outside", id="1e9"),
        pytest.param([[0, 0, 5, 0, 5, -81]], "a corner at -81, far outside the image", id="-81"),
        pytest.param([[0, 0, 5, 0, 5, float("nan")]], "a corner at nan", id="NaN"),
        pytest.param([[0, 0, 5, 0, 5, float("inf")]], "a corner at inf", id="infinite"),
        pytest.param([[0, 0, 80, 80] * 70_000], "a polygon's outline is too long", id="zigzag"),
    ],
)
def test_a_bad_segmentation_is_named(segmentation: object, message: str) -> None:
    with pytest.raises(InputError, match=f"annotation 3: .*{message}"):
        compress_segmentation(segmentation, SHAPE_HW, "annotation 3")


def test_a_corner_just_outside_is_cut_off() -> None:
    counts = compress_segmentation([[-80, -80, 80, -80, 80, 80, -80, 80]], SHAPE_HW, "a")
    assert coco_mask.decode({"size": SHAPE_HW, "counts": counts}).all()


def test_run_lengths_that_are_too_many_are_not_decoded() -> None:
    for count, fits in ((2**22, True), (2**22 + 1, False)):
        text = b"0" * (count - 5) + b"PPPP4"
        if fits:
            assert check_counts([text], (2048, 2048), lambda _: "a")[0] == 2048**2
        else:
            with pytest.raises(InputError, match="a: the mask's run lengths are damaged"):
                check_counts([text], (2048, 2048), lambda _: "a")


def test_the_bad_mask_of_several_is_named() -> None:
    good, small = b"PPPP4", coco_mask.encode(np.zeros((2, 3), np.uint8, order="F"))["counts"]
    with pytest.raises(InputError, match="mask 2: found a mask of 6 pixels, expected 4194304"):
        check_counts([good, good, small], (2048, 2048), "mask {}".format)
    with pytest.raises(InputError, match="mask 1: the mask's run lengths are damaged"):
        check_counts([good, b"!", small], (2048, 2048), "mask {}".format)
    assert check_counts([], (2, 3), str).tolist() == []
