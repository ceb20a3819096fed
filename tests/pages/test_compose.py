"""Channels become the atlas's colours, whatever their depth and range."""

import numpy as np
import pytest

from hpa_mmdet.pages.compose import compose_rgb, mix_rgb, shrink, stretch_channels, tint

SHAPE_HW = (40, 70)


@pytest.mark.parametrize(
    ("dtype", "bright"),
    [
        pytest.param(np.uint8, 90, id="dim 8 bit"),
        pytest.param(np.uint16, 4095, id="12 bit in 16"),
        pytest.param(np.uint16, 60000, id="16 bit"),
    ],
)
def test_each_channel_fills_its_range(dtype: type, bright: int) -> None:
    image = np.zeros((*SHAPE_HW, 2), dtype)
    image[10:20, 10:30, 0] = bright
    image[20:30, 10:30, 1] = bright // 3
    stretched = stretch_channels(image)
    assert stretched.dtype == np.uint8
    assert stretched[15, 15].tolist() == [255, 0]
    assert stretched[25, 15].tolist() == [0, 255]


def test_an_empty_channel_stays_dark() -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((*SHAPE_HW, 2), np.uint8)
    image[5:35, 5:60, 0] = 200
    image[..., 1] = rng.integers(0, 3, SHAPE_HW)  # noise alone
    stretched = stretch_channels(image)
    assert stretched[..., 0].max() == 255
    assert stretched[..., 1].max() < 40


def test_flat_and_empty_images_do_not_fail() -> None:
    assert not stretch_channels(np.full((4, 6, 3), 7, np.uint16)).any()
    assert stretch_channels(np.zeros((0, 6, 3), np.uint8)).shape == (0, 6, 3)


def test_yellow_is_shared_by_red_and_green() -> None:
    pixel = np.array([[[0, 0, 0, 200]]], np.uint8)
    assert mix_rgb(pixel)[0, 0].tolist() == [100, 100, 0]
    pixel = np.array([[[200, 10, 30, 200]]], np.uint8)
    assert mix_rgb(pixel)[0, 0].tolist() == [255, 110, 30]
    assert mix_rgb(pixel[..., :3], ("red", "green", "blue"))[0, 0].tolist() == [200, 10, 30]


def test_compose_keeps_the_shape() -> None:
    image = np.random.default_rng(1).integers(0, 4000, (*SHAPE_HW, 4)).astype(np.uint16)
    assert compose_rgb(image).shape == (*SHAPE_HW, 3)


def test_tint_shows_one_channel_in_its_colour() -> None:
    plane = np.array([[0, 200]], np.uint8)
    assert tint(plane, "yellow")[0, 1].tolist() == [200, 200, 0]
    assert tint(plane, "blue")[0, 1].tolist() == [0, 0, 200]


@pytest.mark.parametrize("channels", [(), (1,), (4,)], ids=["plane", "one", "four"])
def test_shrink_keeps_the_axes_and_says_the_scale(channels: tuple[int, ...]) -> None:
    image = np.full((*SHAPE_HW, *channels), 9, np.uint16)
    small, scale = shrink(image, 35)
    assert scale == 0.5
    assert small.shape == (20, 35, *channels)
    assert small.dtype == np.uint16
    assert (small == 9).all()
    same, one = shrink(image, 999)
    assert one == 1.0
    assert same.shape == image.shape
