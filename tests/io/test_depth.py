"""Where the range of 16-bit data is measured, and how it is brought to 8 bits."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io import large_images
from hpa_mmdet.io.channels import find_images
from hpa_mmdet.io.depth import measure_depth, scale_to_uint8, white_level_of

SHAPE_HW = (23, 41)


def write_image(folder: Path, name: str, largest: int, dtype: type = np.uint16) -> None:
    for channel, value in (("red", largest // 3), ("green", largest)):
        picture = np.zeros(SHAPE_HW, dtype)
        picture[5, 7] = value
        Image.fromarray(picture).save(folder / f"{name}_{channel}.png")


@pytest.mark.parametrize(
    ("largest", "dtype", "expected"),
    [
        pytest.param(3, np.uint8, 255, id="8 bit"),
        pytest.param(255, np.uint16, 255, id="8 bits of data"),
        pytest.param(256, np.uint16, 1023, id="10 bits begin"),
        pytest.param(1024, np.uint16, 4095, id="12 bits begin"),
        pytest.param(4095, np.uint16, 4095, id="12 bits end"),
        pytest.param(4096, np.uint16, 16383, id="14 bits begin"),
        pytest.param(16384, np.uint16, 65535, id="16 bits begin"),
        pytest.param(65535, np.uint16, 65535, id="16 bits end"),
    ],
)
def test_the_white_level_is_the_smallest_that_holds_the_data(
    largest: int, dtype: type, expected: int
) -> None:
    assert white_level_of(np.array([[0, largest, 1]], dtype)) == expected


def test_the_white_level_of_an_empty_picture_is_defined() -> None:
    assert white_level_of(np.zeros((0, 5), np.uint16)) == 255


def test_a_folder_has_one_white_level_whatever_its_dark_images_hold(tmp_path: Path) -> None:
    write_image(tmp_path, "a", 300)
    write_image(tmp_path, "b", 4000)
    write_image(tmp_path, "c", 20)
    (tmp_path / "d_red.png").write_bytes(b"no picture")
    depth = measure_depth(find_images(tmp_path, ("red", "green")), ("red", "green"))
    assert depth == (4095, 4000, 0, 3)
    assert not depth.is_mixed
    assert depth.describe() == (
        "16-bit files with values up to 4000 in 3 images: read with white level 4095 (12 bits)"
    )


def test_8_bit_images_beside_16_bit_ones_are_told(tmp_path: Path) -> None:
    write_image(tmp_path, "a", 200, np.uint8)
    write_image(tmp_path, "b", 60000)
    images = find_images(tmp_path, ("red", "green"))
    depth = measure_depth(images, ("red", "green"))
    assert depth == (65535, 60000, 1, 1)
    assert "; 1 images are 8 bit and keep white level 255" in depth.describe()
    assert measure_depth(images[:1], ("red", "green")).describe() == (
        "8-bit files: read with white level 255"
    )


def test_the_sample_reaches_the_last_images(tmp_path: Path) -> None:
    for number in range(70):
        write_image(tmp_path, f"{number:03}", 900 if number < 64 else 5000)
    assert measure_depth(find_images(tmp_path, ("red", "green")), ("red", "green"))[:2] == (
        16383,
        5000,
    )


def test_a_large_image_is_sampled_in_bands(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(large_images, "LARGE_PIXELS", 100)
    picture = np.zeros((900, 41), np.uint16)
    picture[700:] = 3000
    picture[70:110] = 4000  # between two of the eight bands of 64 rows, 112 apart
    tifffile.imwrite(tmp_path / "a_red.tif", picture, tile=(32, 32), compression="zlib")
    images = find_images(tmp_path, ("red",), "{id}_{channel}.tif")
    assert measure_depth(images, ("red",)) == (4095, 3000, 0, 1)


@pytest.mark.parametrize("white_level", [255, 1023, 4095, 16383, 65535])
def test_values_become_the_nearest_of_eight_bits(white_level: int) -> None:
    values = np.arange(white_level + 1).astype(np.uint16).reshape(-1, 2)
    exact = values * 255.0 / white_level
    scaled = scale_to_uint8(values, white_level)
    assert scaled.dtype == np.uint8
    assert np.abs(scaled - exact).max() <= 0.5
    assert (scaled[-1, -1], scaled[0, 0]) == (255, 0)


def test_8_bit_comes_as_it_is_and_other_types_are_refused() -> None:
    picture = np.array([[3, 250]], np.uint8)
    assert scale_to_uint8(picture, 4095) is picture
    with pytest.raises(InputError, match="a: found int16 pixels, expected 8 or 16 bit"):
        scale_to_uint8(picture.astype(np.int16), where="a")


def test_a_value_above_the_white_level_is_refused() -> None:
    match = "a: a value of 5000 exceeds the white level 4095; give --white-level 16383"
    with pytest.raises(InputError, match=match):
        scale_to_uint8(np.array([[5000]], np.uint16), 4095, "a")
