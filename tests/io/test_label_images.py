"""Label images: every honest way to store ids is read, every doubtful one refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import find_masks, read_label_image, scan_masks, write_label_image

LABELS = np.zeros((23, 40), np.uint8)
LABELS[2:9, 3:30] = 4
LABELS[12:20, 5:17] = 9


def save(path: Path, picture: np.ndarray) -> Path:
    if path.suffix == ".tif":
        tifffile.imwrite(path, picture, photometric="minisblack")
    elif path.suffix == ".npy":
        np.save(path, picture)
    else:
        Image.fromarray(picture).save(path)
    return path


def palette_png(path: Path, colours: list[int], places: np.ndarray = LABELS) -> Path:
    picture = Image.fromarray(places)
    picture.putpalette(colours)
    picture.save(path)
    return path


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        pytest.param("a.png", LABELS, id="8 bit"),
        pytest.param("a.png", LABELS.astype(np.uint16), id="16 bit"),
        pytest.param("a.tif", LABELS.astype(np.uint32), id="32 bit"),
        pytest.param("a.tif", LABELS.astype(np.float32), id="whole floats"),
        pytest.param("a.png", np.dstack([LABELS] * 3), id="equal bands"),
        pytest.param("a.png", np.dstack([LABELS] * 3 + [np.full_like(LABELS, 255)]), id="opaque"),
        pytest.param("a.npy", LABELS.astype(np.int64), id="npy"),
        pytest.param("a.npy", LABELS[..., None], id="one band"),
        pytest.param("a.tif", LABELS == 4, id="1 bit"),
    ],
)
def test_ids_come_back(tmp_path: Path, name: str, stored: np.ndarray) -> None:
    read = read_label_image(save(tmp_path / name, stored))
    assert read.dtype.kind in "ui"
    assert (read == (LABELS == 4 if stored.dtype == bool else LABELS)).all()


def test_a_palette_of_colours_holds_ids_in_its_places(tmp_path: Path) -> None:
    colours = [0, 0, 0] + [200, 30, 7] * 255
    assert (read_label_image(palette_png(tmp_path / "a.png", colours)) == LABELS).all()


def test_a_palette_of_greys_holds_ids_in_its_colours(tmp_path: Path) -> None:
    places = np.where(LABELS == 4, 1, np.where(LABELS == 9, 0, 2)).astype(np.uint8)
    greys = [9, 9, 9, 4, 4, 4, 0, 0, 0]
    assert (read_label_image(palette_png(tmp_path / "a.png", greys, places)) == LABELS).all()


@pytest.mark.parametrize(
    ("name", "stored", "message"),
    [
        pytest.param("a.tif", np.where(LABELS, np.nan, 0), "found NaN or infinity", id="NaN"),
        pytest.param("a.tif", LABELS / 2.0 + 0.25, "found the fraction 0.25", id="fraction"),
        pytest.param("a.tif", LABELS.astype(np.int16) - 1, "found id -1", id="negative"),
        pytest.param("a.tif", -LABELS.astype(np.float32), "found id -9", id="negative float"),
        pytest.param(
            "a.png", np.dstack([LABELS, LABELS, LABELS * 2]), "a colour picture", id="RGB"
        ),
        pytest.param("a.png", np.dstack([LABELS] * 4), "found a colour picture", id="RGBA"),
        pytest.param("a.tif", np.zeros((4, 23, 40), np.uint8), r"found 3-D uint8", id="stack"),
        pytest.param(
            "a.npy",
            np.zeros((3, 4), complex),
            "an array of complex128, not of numbers",
            id="complex",
        ),
        pytest.param("a.jpg", LABELS, "a.jpg: found a JPEG.*blurs ids", id="JPEG"),
    ],
)
def test_what_is_no_label_image_is_refused_by_name(
    tmp_path: Path, name: str, stored: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_label_image(save(tmp_path / name, stored))


def test_a_palette_that_begins_with_a_colour_is_refused(tmp_path: Path) -> None:
    path = palette_png(tmp_path / "a.png", [7, 8, 9] * 256)
    with pytest.raises(InputError, match=r"begins with the colour \(7, 8, 9\)"):
        read_label_image(path)


def test_ids_are_the_names_without_their_endings(tmp_path: Path) -> None:
    for name in ("b_mask.png", "a.tif", "c_mask.ome.tif", "d.PNG", "e_mask.npz", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    found = scan_masks(tmp_path)
    assert {key: path.name for key, path in found.paths.items()} == {
        "a": "a.tif",
        "b": "b_mask.png",
        "c": "c_mask.ome.tif",
        "d": "d.PNG",
        "e": "e_mask.npz",
    }
    assert found.unused == ["notes.txt"]


def test_a_pattern_chooses_the_masks(tmp_path: Path) -> None:
    for name in ("a_cells.png", "a_nuclei.png", "b_cells.png"):
        (tmp_path / name).touch()
    assert sorted(find_masks(tmp_path, "{id}_cells.png")) == ["a", "b"]


def test_two_masks_of_one_image_are_named(tmp_path: Path) -> None:
    for name in ("a_mask.png", "a.tif", "b.png"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"a_mask.png: found a second mask of a beside a.tif"):
        find_masks(tmp_path)
    assert list(scan_masks(tmp_path).problems) == ["a"]


def test_folders_without_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no label image"):
        find_masks(tmp_path)
    with pytest.raises(InputError, match="found no folder"):
        find_masks(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("highest", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16)]
)
def test_a_written_label_image_is_as_deep_as_its_ids(
    tmp_path: Path, highest: int, dtype: type
) -> None:
    labels = LABELS.astype(np.int64) * 0
    labels[5, 6] = highest
    write_label_image(tmp_path / "a.png", labels)
    read = read_label_image(tmp_path / "a.png")
    assert read.dtype == dtype
    assert (read == labels).all()


def test_ids_past_16_bits_need_a_tiff(tmp_path: Path) -> None:
    labels = np.arange(70_000).reshape(200, 350)
    with pytest.raises(InputError, match=r"found cell id 69999, expected at most 65535 in a PNG"):
        write_label_image(tmp_path / "a.png", labels)
    assert not list(tmp_path.iterdir())
    write_label_image(tmp_path / "a.tif", labels)
    assert (read_label_image(tmp_path / "a.tif") == labels).all()


def grid(count: int) -> np.ndarray:
    """So many cells of 4 x 5 pixels, numbered row by row, (rows, 300)."""
    across = 50
    ids = np.zeros((6 * -(-count // across), 6 * across), np.uint16)
    for place in range(count):
        y, x = 6 * (place // across), 6 * (place % across)
        ids[y : y + 4, x : x + 5] = place + 1
    return ids


def test_many_cells_are_told_apart(tmp_path: Path) -> None:
    for count in (1, 2, 254, 255, 256, 300):
        path = save(tmp_path / "a.png", grid(count))
        assert read_label_image(path).max() == count


def test_one_cell_may_have_small_parts_beside_a_large_one(tmp_path: Path) -> None:
    picture = np.where(LABELS == 4, 7, 0).astype(np.uint8)
    picture[15, 20:24] = 7  # a crumb
    assert (read_label_image(save(tmp_path / "a.png", picture)) == picture).all()


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        pytest.param((LABELS > 0).astype(np.uint8), "one id, 1, has 2 separate", id="binary"),
        pytest.param((grid(60) > 0) * np.uint8(255), "one id, 255, has 60", id="binary 255"),
        pytest.param(np.minimum(grid(300), 255), "id 255 has 46 .* cut at 255", id="saturated"),
        pytest.param(grid(300).astype(np.uint8), "44 ids have separate.*modulo 256", id="wrapped"),
        pytest.param(LABELS + 1, r"no pixel is background \(0\), and id 1 touches", id="from 1"),
        pytest.param(
            np.full((23, 40), 2**32, np.int64), "a.npy: found id 4294967296", id="past 32 bits"
        ),
    ],
)
def test_ids_that_do_not_tell_cells_apart_are_refused(
    tmp_path: Path, stored: np.ndarray, message: str
) -> None:
    path = save(tmp_path / ("a.npy" if stored.dtype == np.int64 else "a.png"), stored)
    with pytest.raises(InputError, match=message):
        read_label_image(path)


def test_places_of_one_grey_are_refused(tmp_path: Path) -> None:
    greys = [0, 0, 0, *[90, 90, 90] * 255]
    with pytest.raises(InputError, match="places of its palette share one grey"):
        read_label_image(palette_png(tmp_path / "a.png", greys))


def test_an_id_that_no_file_can_hold_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found cell id 4294967296, expected at most 4294967295"):
        write_label_image(tmp_path / "a.tif", np.full((3, 4), 2**32))
    assert not list(tmp_path.iterdir())
