"""The rules that tell whether a label image tells cells apart, each at its edge."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import (
    check_cells,
    find_masks,
    read_label_image,
    scan_masks,
    write_label_image,
)
from hpa_mmdet.io.label_sets import LARGEST_CELL_ID


def cells(*parts: tuple[int, int], width: int = 200) -> np.ndarray:
    """Rows of pixels, each an id and its length, with background between."""
    image = np.zeros((2 * len(parts) + 1, width), np.uint16)
    for row, (cell_id, length) in enumerate(parts):
        image[2 * row + 1, 1 : 1 + length] = cell_id
    return image


def is_refused(image: np.ndarray) -> bool:
    try:
        check_cells(Path("a.png"), image)
    except InputError:
        return True
    return False


@pytest.mark.parametrize(("small", "refused"), [(9, False), (10, True)])
def test_a_part_counts_from_a_fifth_of_the_largest(small: int, refused: bool) -> None:
    assert is_refused(cells((7, 50), (7, small))) is refused
    assert is_refused(cells((7, small), (7, 50))) is refused
    assert not is_refused(cells((7, 50), (7, small), (8, 1)))  # two ids are no binary mask


@pytest.mark.parametrize("missing", [None, 0, 1, 2, 3])
def test_background_that_was_counted_touches_all_four_edges(missing: int | None) -> None:
    """One pixel on each edge is enough; three edges are not."""
    image = np.full((7, 9), 5, np.uint8)
    image[0], image[-1], image[:, 0], image[:, -1] = 1, 2, 3, 4
    for side, place in enumerate([(0, 4), (-1, 5), (3, 0), (2, -1)]):
        if side != missing:
            image[place] = 30
    assert is_refused(image) is (missing is None)


def test_pixels_that_meet_at_a_corner_are_one_part() -> None:
    image = np.zeros((6, 9), np.uint8)
    image[1:3, 1:4] = image[3:5, 4:7] = 1
    assert not is_refused(image)


@pytest.mark.parametrize(("parts", "refused"), [(1, False), (2, False), (3, True)])
def test_ids_that_were_cut_are_told_by_three_parts_of_255(parts: int, refused: bool) -> None:
    assert is_refused(cells((3, 5), *[(255, 5)] * parts)) is refused
    assert not is_refused(cells((3, 5), *[(254, 5)] * parts))
    assert not is_refused(cells((256, 5), *[(255, 5)] * parts))


@pytest.mark.parametrize(
    ("ids", "twice", "refused"),
    [(10, 2, False), (10, 3, True), (30, 3, True), (31, 3, False), (31, 4, True), (40, 4, True)],
)
def test_counting_modulo_256_is_told_by_three_ids_and_a_tenth(
    ids: int, twice: int, refused: bool
) -> None:
    numbers = range(256 - ids, 256)
    rows = [(number, 5) for number in numbers] + [(number, 5) for number in numbers[:twice]]
    assert is_refused(cells(*rows)) is refused


def test_without_background_cells_may_still_be_apart() -> None:
    image = np.ones((23, 40), np.uint8)
    image[:, 20:] = 2  # each touches three edges
    assert not is_refused(image)
    image[0, 20:] = image[-1] = image[:, -1] = 1
    assert is_refused(image)
    image[11, 20] = 0
    assert not is_refused(image)
    assert not is_refused(np.zeros((23, 40), np.uint8))


@pytest.mark.parametrize("alpha", [0, 255])
def test_grey_that_is_as_opaque_everywhere_holds_ids(tmp_path: Path, alpha: int) -> None:
    grey = cells((3, 5), (9, 7)).astype(np.uint8)
    Image.fromarray(np.dstack([grey, np.full_like(grey, alpha)])).save(tmp_path / "a.png")
    assert (read_label_image(tmp_path / "a.png") == grey).all()
    Image.fromarray(np.dstack([grey, grey])).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="a colour picture"):
        read_label_image(tmp_path / "b.png")


@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.TIF"])
def test_the_largest_id_is_written_and_read(tmp_path: Path, name: str) -> None:
    image = np.zeros((23, 40), np.int64)
    image[4, 5:9] = LARGEST_CELL_ID
    image[9, 5:9] = 1
    write_label_image(tmp_path / name, image)
    assert LARGEST_CELL_ID == 2**32 - 1
    assert (read_label_image(tmp_path / name) == image).all()
    np.save(tmp_path / "a.npy", image)
    assert (read_label_image(tmp_path / "a.npy") == image).all()
    image[4, 5] = -1
    np.save(tmp_path / "a.npy", image)
    with pytest.raises(InputError, match="found id -1, expected ids >= 0"):
        read_label_image(tmp_path / "a.npy")


def test_a_pattern_that_fits_no_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match=r"found no label image, expected \{id\}_cells.png"):
        find_masks(tmp_path, "{id}_cells.png")


def test_names_that_macos_decomposed_make_one_note(tmp_path: Path) -> None:
    for name in ("\u00e9.png", "\u00fc.png"):
        (tmp_path / unicodedata.normalize("NFD", name)).touch()
    (tmp_path / "plain.png").touch()
    found = scan_masks(tmp_path)
    assert sorted(found.paths) == ["plain", "\u00e9", "\u00fc"]
    (note,) = found.notes
    assert note.startswith(f"{tmp_path}: 2 x ")
    assert scan_masks(tmp_path, "plai{id}.png").notes == ()
