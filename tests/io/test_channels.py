"""Channels in files of their own, in planes of one file, in colour."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import check_channels, find_images, read_channels, scan_images

SHAPE_HW = (23, 40)


def plane(value: int, dtype: type = np.uint8) -> np.ndarray:
    picture = np.full(SHAPE_HW, value, dtype)
    picture[3:5, 7:20] = value + 3
    return picture


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=100) if path.suffix == ".jpg" else Image.fromarray(
        picture
    ).save(path)


def test_one_file_a_channel(tmp_path: Path) -> None:
    for at, channel in enumerate(("red", "green", "blue", "yellow")):
        save(tmp_path / f"a_b_{channel}.png", plane(10 * at))
    [image] = find_images(tmp_path)
    assert image.image_id == "a_b"
    assert read_channels(image, ["yellow", "red"])[0, 0].tolist() == [30, 0]
    assert check_channels(image, ["yellow", "red"]) == (40, 23)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes_of_an_ome_tiff_are_named_in_order(tmp_path: Path, dtype: type) -> None:
    stack = np.stack([plane(value, dtype) for value in (10, 20, 30, 40, 50)])
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CYX"})
    [image] = find_images(tmp_path, ["blue", "_", "red", "green", "yellow"], "{id}.ome.tif")
    read = read_channels(image, ["red", "green", "blue", "yellow"])
    assert read.dtype == dtype
    assert read[0, 0].tolist() == [30, 40, 10, 50]
    assert check_channels(image, ["red", "green"]) == (40, 23)


def test_bands_of_a_colour_jpeg_are_channels(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", np.dstack([plane(10), plane(120), plane(200)]))
    [image] = find_images(tmp_path, ["red", "green", "blue"], "{id}.jpg")
    read = read_channels(image, ["green", "blue"]).astype(int)
    assert abs(read[20, 30] - [120, 200]).max() <= 6


def test_a_channel_drawn_in_its_colour_gives_its_brightness(tmp_path: Path) -> None:
    green = np.zeros((*SHAPE_HW, 3), np.uint8)
    green[..., 1] = plane(90)
    save(tmp_path / "a_green.png", green)
    alpha = np.dstack([plane(70), np.full(SHAPE_HW, 255, np.uint8)])
    save(tmp_path / "b_green.png", alpha)
    save(tmp_path / "c_green.png", np.dstack([green, np.full(SHAPE_HW, 255, np.uint8)]))
    images = find_images(tmp_path, ["green"])
    values = [read_channels(image, ["green"])[0, 0].tolist() for image in images]
    assert values == [[90], [70], [90]]


def test_folders_and_other_words_for_channels(tmp_path: Path) -> None:
    for well in ("A01", "A02"):
        for word in ("w1", "w2"):
            save(tmp_path / f"plate/{well}_{word}_x9.png", plane(int(word[1])))
    (tmp_path / "plate/loop").symlink_to(tmp_path)
    images = find_images(tmp_path, ["blue=w1", "green=w2"], "plate/{id}_{channel}_*.png")
    assert [image.image_id for image in images] == ["A01", "A02"]
    assert read_channels(images[1], ["green", "blue"])[0, 0].tolist() == [2, 1]


def test_a_second_file_of_a_channel_is_named(tmp_path: Path) -> None:
    for plate in ("p1", "p2"):
        save(tmp_path / plate / "a_red.png", plane(1))
    save(tmp_path / "p1" / "b_red.png", plane(1))
    with pytest.raises(InputError, match=r"p2/a_red.png: found a second red file of a"):
        find_images(tmp_path, ["red"], "*/{id}_{channel}.png")
    assert list(scan_images(tmp_path, ["red"], "*/{id}_{channel}.png").problems) == ["a"]


@pytest.mark.parametrize("check", [read_channels, check_channels])
def test_what_is_wrong_with_a_channel_is_said(tmp_path: Path, check) -> None:  # type: ignore[no-untyped-def]
    save(tmp_path / "a_red.png", plane(1))
    save(tmp_path / "a_blue.png", plane(1)[:, :30])
    tifffile.imwrite(
        tmp_path / "a_stack.tif",
        np.zeros((6, 9, 5), np.uint8),
        metadata={"axes": "ZYX"},
        photometric="minisblack",
    )
    tifffile.imwrite(
        tmp_path / "a_planes.ome.tif",
        np.zeros((6, 9, 5), np.uint8),
        metadata={"axes": "CYX"},
        photometric="minisblack",
    )
    [image] = find_images(tmp_path, ["red", "blue", "green"])
    with pytest.raises(InputError, match=r"image a: found no green file \(only blue, red\)"):
        check(image, ["red", "green"])
    with pytest.raises(InputError, match=r"a_blue.png: found 30x23.*40x23.* as its red channel"):
        check(image, ["red", "blue"])
    [stack] = find_images(tmp_path, ["stack"], "{id}_{channel}.tif")
    with pytest.raises(InputError, match=r"found axes ZYX of 6x9x5.*project stacks"):
        check(stack, ["stack"])
    [planes] = find_images(tmp_path, ["planes"], "{id}_{channel}.ome.tif")
    with pytest.raises(InputError, match=r"found 6 planes, expected one channel in each file"):
        check(planes, ["planes"])
    [few] = find_images(tmp_path, ["x", "y"], "{id}_red.png")
    with pytest.raises(
        InputError, match=r"a_red.png: found 1 planes, expected the 2 that --channels names"
    ):
        check(few, ["x", "y"])


def test_depths_that_differ_or_are_not_8_or_16_bit_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a_red.png", plane(1))
    save(tmp_path / "a_green.png", plane(1, np.uint16))
    tifffile.imwrite(tmp_path / "b_red.tif", plane(1).astype(np.float32))
    [image] = find_images(tmp_path)
    with pytest.raises(InputError, match="found 40x23 uint16, expected 40x23 uint8"):
        read_channels(image, ["red", "green"])
    [image] = find_images(tmp_path, ["red"], "{id}_{channel}.tif")
    with pytest.raises(InputError, match="found float32 pixels, expected 8 or 16 bit"):
        read_channels(image, ["red"])


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no image files, expected files named"):
        find_images(tmp_path)
    with pytest.raises(InputError, match="found no folder"):
        find_images(tmp_path / "nowhere")
