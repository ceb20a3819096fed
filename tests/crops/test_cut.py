import numpy as np
import pytest
from scipy import ndimage

from hpa_mmdet.crops import CellMask, CropOptions, cells_of_image, cut_crops
from hpa_mmdet.crops.cleaning import clean_channel
from hpa_mmdet.crops.masks import clean_mask, grow_mask
from hpa_mmdet.errors import InputError

GREEN = CropOptions(channels=("green",), size_px=8)


def cell_of(mask: list[list[int]], x: int = 0, y: int = 0) -> CellMask:
    array = np.array(mask, bool)
    return CellMask(7, (x, y, array.shape[1], array.shape[0]), array, False)


def test_cells_of_image_have_boxes_ids_and_borders() -> None:
    labels = np.zeros((6, 9), np.uint16)
    labels[0:2, 1:4] = 3
    labels[3:5, 4:8] = 12
    cells = cells_of_image(labels)
    assert [(cell.cell_id, cell.bbox_xywh, cell.touches_border) for cell in cells] == [
        (3, (1, 0, 3, 2), True),
        (12, (4, 3, 4, 2), False),
    ]
    assert all(cell.mask.all() for cell in cells)


def test_ids_beyond_a_million_are_cells_like_others() -> None:
    labels = np.zeros((6, 9), np.int64)
    labels[2:4, 3:5] = 3_000_000_000
    (cell,) = cells_of_image(labels)
    assert (cell.cell_id, cell.bbox_xywh) == (3_000_000_000, (3, 2, 2, 2))


def test_an_image_without_cells_gives_none() -> None:
    assert cells_of_image(np.zeros((4, 6), np.uint8)) == []
    assert cells_of_image(np.zeros((0, 6), np.uint8)) == []


def test_a_label_image_of_fractions_is_refused() -> None:
    with pytest.raises(InputError, match=r"label image: found 2-D float64, expected 2-D integer"):
        cells_of_image(np.zeros((4, 6)))


@pytest.mark.parametrize("seed", range(8))
def test_cleaning_keeps_the_largest_piece_and_fills_its_holes(seed: int) -> None:
    noise = np.random.default_rng(seed).random((23, 31))
    mask = ndimage.gaussian_filter(noise, 1.2) > 0.51
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    assert len(sizes) > 1
    assert (sizes == sizes.max()).sum() == 1
    expected = ndimage.binary_fill_holes(pieces == 1 + sizes.argmax())
    cell = clean_mask(CellMask(1, (4, 6, 31, 23), mask, False))
    x, y, width, height = cell.bbox_xywh
    full = np.zeros_like(mask)
    full[y - 6 : y - 6 + height, x - 4 : x - 4 + width] = cell.mask
    np.testing.assert_array_equal(full, expected)
    assert cell.mask.any(axis=0).all()
    assert cell.mask.any(axis=1).all()


def test_a_mask_grows_by_a_disk() -> None:
    grown = grow_mask(np.ones((1, 1), bool), 2)
    assert grown.astype(int).tolist() == [
        [0, 0, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 0, 0],
    ]


def plane(shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    return np.arange(1, 1 + np.prod(shape)).reshape(shape).clip(max=255).astype(np.uint8)


def test_a_square_window_keeps_the_aspect_and_blanks_the_rest() -> None:
    green = np.full((20, 30), 200, np.uint8)
    crops = cut_crops({"green": green}, [cell_of([[1] * 8, [1] * 8], x=4, y=9)], GREEN)
    expected = np.zeros((8, 8), int)
    expected[3:5] = 200
    np.testing.assert_array_equal(crops.pixels[0, ..., 0], expected)


def test_stretching_fills_the_crop_with_the_box() -> None:
    green = np.full((20, 30), 200, np.uint8)
    options = CropOptions(channels=("green",), size_px=8, framing="stretch")
    crops = cut_crops({"green": green}, [cell_of([[1] * 8, [1] * 8], x=4, y=9)], options)
    assert (crops.pixels == 200).all()


def test_pixels_of_an_unscaled_window_are_those_of_the_image() -> None:
    green = plane()
    mask = np.ones((8, 8), bool)
    mask[0, 0] = mask[7, 3] = False
    crops = cut_crops({"green": green}, [CellMask(1, (5, 6, 8, 8), mask, False)], GREEN)
    np.testing.assert_array_equal(crops.pixels[0, ..., 0], green[6:14, 5:13] * mask)


def test_beyond_the_image_lies_nothing() -> None:
    green = np.full((20, 30), 9, np.uint8)
    options = CropOptions(channels=("green",), size_px=8, blank=False)
    crops = cut_crops({"green": green}, [cell_of([[1] * 8, [1] * 8], x=22, y=0)], options)
    assert crops.pixels[0, :, 0, 0].tolist() == [0, 0, 0, 9, 9, 9, 9, 9]


def test_without_blanking_the_surroundings_show() -> None:
    green = plane()
    options = CropOptions(channels=("green",), size_px=8, blank=False)
    crops = cut_crops({"green": green}, [cell_of([[1] * 8, [1] * 8], x=5, y=9)], options)
    np.testing.assert_array_equal(crops.pixels[0, ..., 0], green[6:14, 5:13])


def test_a_margin_widens_the_window() -> None:
    green = plane()
    options = CropOptions(channels=("green",), size_px=8, blank=False, margin=0.5)
    crops = cut_crops({"green": green}, [cell_of([[1] * 4] * 4, x=5, y=9)], options)
    np.testing.assert_array_equal(crops.pixels[0, ..., 0], green[7:15, 3:11])


def test_a_fixed_window_has_its_size_in_micrometres_around_the_middle() -> None:
    green = plane()
    options = CropOptions(
        channels=("green",), size_px=8, framing="fixed", um_per_px=0.2, pixel_um=0.1, blank=False
    )
    assert options.window_px == 16
    crops = cut_crops({"green": green}, [cell_of([[1] * 4] * 2, x=10, y=9)], options)
    window = green[2:18, 4:20].reshape(8, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(crops.pixels[0, ..., 0], window, atol=0.5)
    assert crops.clipped.tolist() == [False]


def test_a_cell_larger_than_a_fixed_window_shows_its_middle_and_says_so() -> None:
    green = plane()
    options = CropOptions(
        channels=("green",), size_px=8, framing="fixed", um_per_px=0.1, pixel_um=0.1
    )
    crops = cut_crops({"green": green}, [cell_of([[1] * 20] * 10, x=5, y=4)], options)
    assert crops.clipped.tolist() == [True]
    np.testing.assert_array_equal(crops.pixels[0, ..., 0], green[5:13, 11:19])


def test_the_grown_mask_shows_more_around_the_cell() -> None:
    green = np.full((20, 30), 100, np.uint8)
    options = CropOptions(
        channels=("green", "mask"),
        size_px=9,
        framing="fixed",
        um_per_px=0.1,
        pixel_um=0.1,
        grow_um=0.2,
    )
    crops = cut_crops({"green": green}, [cell_of([[1]], x=12, y=9)], options)
    assert (crops.pixels[0, ..., 0] > 0).sum() == 13
    assert (crops.pixels[0, ..., 1] == 255).sum() == 1


def test_channels_come_in_the_order_asked_for_with_the_mask_among_them() -> None:
    planes = {"red": np.full((9, 9), 1, np.uint8), "green": np.full((9, 9), 2, np.uint8)}
    options = CropOptions(channels=("green", "mask", "red"), size_px=8)
    crops = cut_crops(planes, [cell_of([[1] * 8] * 8)], options)
    assert crops.pixels[0, 4, 4].tolist() == [2, 255, 1]


def test_sixteen_bit_becomes_eight() -> None:
    green = np.full((9, 12), 257 * 40, np.uint16)
    crops = cut_crops({"green": green}, [cell_of([[1] * 8] * 8)], GREEN)
    assert (crops.pixels == 40).all()


@pytest.mark.parametrize(
    ("region", "expected"), [("nucleus", 4), ("cytoplasm", 60)], ids=["nucleus", "cytoplasm"]
)
def test_a_region_of_the_cell_is_cut_alone(region: str, expected: int) -> None:
    nuclei = np.zeros((9, 12), np.uint8)
    nuclei[0:2, 0:2] = 7
    options = CropOptions(channels=("mask", "green"), size_px=8, region=region)
    crops = cut_crops(
        {"green": np.ones((9, 12), np.uint8)}, [cell_of([[1] * 8] * 8)], options, nuclei=nuclei
    )
    assert crops.cells[0].mask.sum() == expected


def test_a_cell_without_a_nucleus_gives_an_empty_crop() -> None:
    options = CropOptions(channels=("green", "mask"), size_px=8, region="nucleus")
    crops = cut_crops(
        {"green": np.ones((9, 12), np.uint8)},
        [cell_of([[1] * 8] * 8)],
        options,
        nuclei=np.zeros((9, 12), np.uint8),
    )
    assert not crops.pixels.any()
    assert crops.cells[0].bbox_xywh[2:] == (0, 0)


def test_a_cell_of_one_pixel_fills_its_crop() -> None:
    green = np.zeros((9, 12), np.uint8)
    green[3, 5] = 77
    crops = cut_crops({"green": green}, [cell_of([[1]], x=5, y=3)], GREEN)
    assert (crops.pixels == 77).all()


def test_no_cells_give_no_crops() -> None:
    crops = cut_crops({"green": np.ones((9, 12), np.uint8)}, [], GREEN)
    assert crops.pixels.shape == (0, 8, 8, 1)


def test_what_does_not_fit_is_refused() -> None:
    cell = cell_of([[1] * 8] * 8, x=6)
    image = {"green": np.ones((9, 12), np.uint8)}
    with pytest.raises(InputError, match=r"cell 7: found a box to \(14, 8\), expected one inside"):
        cut_crops(image, [cell], GREEN)
    with pytest.raises(InputError, match=r"image: found channels green, expected red among them"):
        cut_crops(image, [], CropOptions(channels=("red",)))
    with pytest.raises(
        InputError, match=r"channel red: found 3x9 pixels, expected 12x9 as the others"
    ):
        cut_crops(
            {**image, "red": np.ones((9, 3), np.uint8)}, [], CropOptions(channels=("green", "red"))
        )
    with pytest.raises(InputError, match=r"--region nucleus: needs the nuclei"):
        cut_crops(image, [], CropOptions(channels=("green",), region="nucleus"))
    with pytest.raises(InputError, match=r"cell 7: found nuclei of 3x9 pixels"):
        cut_crops(
            image,
            [cell],
            CropOptions(channels=("green",), region="nucleus"),
            nuclei=np.zeros((9, 3), np.uint8),
        )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"channels": ("mask",)}, r"--channels: found mask, expected each channel once, and one"),
        ({"channels": ("red", "red")}, r"--channels: found red red"),
        ({"region": "soma"}, r"--region: found soma, expected one of cell, nucleus, cytoplasm"),
        ({"framing": "round"}, r"--framing: found round"),
        ({"size_px": 4}, r"--size: found 4, expected 8 to 2048"),
        ({"margin": float("nan")}, r"--margin: found nan"),
        ({"framing": "fixed"}, r"--um-per-px: belongs with --framing fixed"),
        ({"um_per_px": 0.1}, r"--um-per-px: belongs with --framing fixed"),
        ({"grow_um": 1.0}, r"--pixel-size: is needed to turn micrometres into pixels"),
        ({"channels": ("red",), "clean_green": True}, r"--clean-green: there is no green channel"),
    ],
)
def test_options_that_cannot_be_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CropOptions(**values)


def test_options_survive_json_and_an_unknown_one_is_named() -> None:
    options = CropOptions(channels=("green", "mask"), size_px=64, margin=0.1)
    assert CropOptions.from_dict(options.to_dict()) == options
    with pytest.raises(InputError, match=r"store\.json: found option sise_px, expected blank"):
        CropOptions.from_dict({"sise_px": 3}, "store.json")


def uneven(dtype: type, gain: float, offset: float) -> np.ndarray:
    """Bright spots on a ground that rises from left to right."""
    image = np.tile(np.linspace(0, 40, 90), (60, 1)) + offset
    for row, column in ((10, 12), (30, 45), (48, 80)):
        image[row : row + 3, column : column + 3] += 100
    return (image * gain).astype(dtype)


def test_cleaning_takes_the_background_away_and_the_gain() -> None:
    cleaned = clean_channel(uneven(np.uint8, 1.0, 20))
    spots = np.zeros((60, 90), bool)
    for row, column in ((10, 12), (30, 45), (48, 80)):
        spots[row : row + 3, column : column + 3] = True
    assert cleaned[spots].min() > 200
    assert np.median(cleaned[~spots]) < 40
    deep = clean_channel(uneven(np.uint16, 200.0, 20))
    assert np.abs(deep.astype(int) - cleaned).max() <= 4


def test_noise_of_an_empty_channel_stays_dark() -> None:
    noise = np.random.default_rng(0).integers(0, 3, (60, 90)).astype(np.uint8)
    assert clean_channel(noise).max() <= 128
    assert clean_channel(np.zeros((0, 4), np.uint8)).shape == (0, 4)


def test_cleaned_green_is_what_the_crop_shows() -> None:
    green = uneven(np.uint8, 1.0, 20)
    options = CropOptions(channels=("green",), size_px=8, clean_green=True)
    crops = cut_crops({"green": green}, [cell_of([[1] * 8] * 8, x=40, y=27)], options)
    np.testing.assert_array_equal(crops.pixels[0, ..., 0], clean_channel(green)[27:35, 40:48])


def test_five_channels_shrink_alike() -> None:
    rng = np.random.default_rng(0)
    names = ("red", "green", "blue", "yellow")
    planes = {name: rng.integers(0, 256, (40, 60)).astype(np.uint8) for name in names}
    cell = CellMask(1, (7, 3, 32, 32), np.ones((32, 32), bool), False)
    crops = cut_crops(planes, [cell], CropOptions(channels=(*names, "mask"), size_px=8))
    for at, name in enumerate(names):
        expected = planes[name][3:35, 7:39].reshape(8, 4, 8, 4).mean(axis=(1, 3))
        np.testing.assert_allclose(crops.pixels[0, ..., at], expected, atol=1)
    assert (crops.pixels[0, ..., 4] == 255).all()
