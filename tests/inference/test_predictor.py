"""Predictor: the cells of an image, whichever way it is turned, cut or batched."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_images import cell_image, write_config
from skimage.draw import ellipse
from stand_in import StandInCells

import hpa_mmdet
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.views import ImageRequest
from hpa_mmdet.masks.runs import runs_from_counts


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path)


def label_image_of(cells: list, shape_hw: tuple[int, int]) -> np.ndarray:
    drawn = np.zeros(shape_hw, int)
    for number, cell in enumerate(cells, start=1):
        x, y, width, height = cell.bbox_xywh
        drawn[y : y + height, x : x + width] += (
            number * runs_from_counts(cell.counts, shape_hw).crop()
        )
    return drawn


def agreement(cells: list, labels: np.ndarray) -> list[float]:
    """For each true cell, the IoU of the found cell that covers it best."""
    drawn = label_image_of(cells, labels.shape)
    result = []
    for cell_id in np.unique(labels[labels > 0]):
        inside = labels == cell_id
        found = np.bincount(drawn[inside]).argmax()
        result.append(float((inside & (drawn == found)).sum() / (inside | (drawn == found)).sum()))
    return result


def test_outlines_are_grown_over_the_stains_unless_told_otherwise(config: Path) -> None:
    image = np.random.default_rng(0).integers(0, 12, (120, 170, 4)).astype(np.uint8)
    body = ellipse(60, 80, 40, 48, shape=(120, 170))
    image[..., 0][body] = image[..., 3][body] = 150
    image[..., 2][ellipse(60, 80, 34, 40, shape=(120, 170))] = 110  # what the stand-in finds
    image[..., 2][ellipse(60, 80, 18, 20, shape=(120, 170))] = 250
    (parted,) = hpa_mmdet.Predictor(config, clean="separate")(image)
    (grown,) = hpa_mmdet.Predictor(config)(image)
    assert parted.area < 0.75 * len(body[0])
    assert grown.area > 0.9 * len(body[0])


def test_memory_may_go_back_after_each_batch(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = hpa_mmdet.Predictor(config, tta="flips", batch_size=3, clean="none")
    calls: list[int] = []
    target = "hpa_mmdet.inference.predictor.give_back_where_scarce"
    monkeypatch.setattr(target, lambda: calls.append(1))
    model.detect([model.prepare(ImageRequest("a", cell_image(1)[0]))])
    assert len(calls) == 2  # four views


@pytest.mark.parametrize("tta", ["none", "flips", "d4"])
def test_cells_are_found_and_named(config: Path, tta: str) -> None:
    image, labels = cell_image(1)
    predictor = hpa_mmdet.Predictor(config, tta=tta, batch_size=3)
    cells = predictor(image)
    assert len(cells) == len(np.unique(labels)) - 1
    assert min(agreement(cells, labels)) > 0.9
    assert [cell.cell_score for cell in cells] == sorted(
        (cell.cell_score for cell in cells), reverse=True
    )
    drawn = label_image_of(cells, labels.shape)
    rates = np.linspace(0.1, 1.9, 19)
    for number, cell in enumerate(cells, start=1):
        green = image[drawn == number, 1].mean() / 255
        assert cell.localization_scores == pytest.approx(np.clip(green * rates / 2, 0, 1), abs=0.02)
        assert cell.cell_id is None


def test_turning_changes_nothing_for_a_model_that_sees_all_turns_alike(config: Path) -> None:
    image, _ = cell_image(4)
    straight = hpa_mmdet.Predictor(config)(image)
    turned = hpa_mmdet.Predictor(config, tta="d4", batch_size=2)(image)
    for one, other in zip(straight, turned, strict=True):
        assert one.cell_score == pytest.approx(other.cell_score, abs=1e-6)
        assert one.localization_scores == pytest.approx(other.localization_scores, abs=1e-4)
        assert abs(one.area - other.area) <= 0.03 * one.area


def test_tiles_give_each_cell_once(config: Path) -> None:
    image, labels = cell_image(3, (210, 330), cells=30)
    assert len(np.unique(labels)) > 25
    cells = hpa_mmdet.Predictor(config, tile_px=96, overlap_px=24)(image)
    assert len(cells) == len(np.unique(labels)) - 1
    assert min(agreement(cells, labels)) > 0.85


@pytest.mark.parametrize("overlap_px", [0, 6, 16, 40])
def test_tiles_give_what_the_whole_image_gives(config: Path, overlap_px: int) -> None:
    """Cells of 18 to 80 pixels, overlaps below and above their size."""
    image, labels = cell_image(3, (210, 330), cells=24)
    rows, columns = ellipse(105, 160, 40, 30, shape=labels.shape)  # as large as a tile
    touched = np.isin(labels, labels[ellipse(105, 160, 43, 33, shape=labels.shape)])
    image[touched & (labels > 0)] = 0
    labels[touched] = 0
    labels[rows, columns] = 900
    image[rows, columns] = 180
    whole = hpa_mmdet.Predictor(config)(image)
    cells = hpa_mmdet.Predictor(config, tile_px=96, overlap_px=overlap_px)(image)
    assert len(whole) == len(np.unique(labels)) - 1
    assert len(cells) == len(whole)
    assert min(agreement(cells, label_image_of(whole, labels.shape))) > 0.85


def test_given_cells_keep_mask_order_and_id(config: Path) -> None:
    image, labels = cell_image(5)
    labels[0, 0] = 999  # one pixel: named all the same
    for options in ({}, {"tta": "d4"}, {"tile_px": 64, "overlap_px": 16}):
        cells = hpa_mmdet.Predictor(config, **options)(image, labels)
        assert [cell.cell_id for cell in cells] == np.unique(labels[labels > 0]).tolist()
        for cell in cells:
            x, y, width, height = cell.bbox_xywh
            crop = runs_from_counts(cell.counts, labels.shape).crop()
            inside = labels == cell.cell_id
            assert np.array_equal(crop, inside[y : y + height, x : x + width])
            assert cell.area == inside.sum()
            assert cell.cell_score == 1
            green = image[inside, 1].mean() / 255
            assert cell.localization_scores[9] == pytest.approx(green / 2, abs=0.01)


def test_given_cells_that_shrinking_would_lose_are_named(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    text = config.read_text().replace(
        "dict(type='PackCells')", "dict(type='Resize', scale_factor=0.25), dict(type='PackCells')"
    )
    config.write_text(text)
    image, labels = cell_image(5)
    labels[0, 0], image[0, 0] = 999, 255
    image[0:9, 0:9, 1] = 255
    cells = hpa_mmdet.Predictor(config)(image, labels)
    assert cells[-1].cell_id == 999
    assert cells[-1].localization_scores[9] > 0.3


def test_a_resized_input_gives_cells_in_image_pixels(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    step = "dict(type='Resize', scale=(340, 340), keep_ratio=True), dict(type='PackCells')"
    config.write_text(config.read_text().replace("dict(type='PackCells')", step))
    image, labels = cell_image(1)
    cells = hpa_mmdet.Predictor(config, tta="flips")(image)
    assert len(cells) == len(np.unique(labels)) - 1
    assert min(agreement(cells, labels)) > 0.85


def test_another_input_scale_is_taken_for_the_configs(config: Path) -> None:
    image, labels = cell_image(1)
    cells = hpa_mmdet.Predictor(config, input_scale=2.0)(image)
    assert min(agreement(cells, labels)) > 0.9
    with pytest.raises(InputError, match="--input-scale: found 0, expected above 0"):
        hpa_mmdet.Predictor(config, input_scale=0)


def test_batches_do_not_change_the_answer(config: Path) -> None:
    shapes = [(120, 170), (120, 170), (170, 120), (120, 170), (120, 170)]
    requests = [
        ImageRequest(f"i{seed}", cell_image(seed, shape)[0]) for seed, shape in enumerate(shapes)
    ]
    predictor = hpa_mmdet.Predictor(config, batch_size=2)
    together = predictor.predict(requests)
    assert predictor.loaded.model.batch_sizes == [2, 1, 2] * 2  # found, then named
    for request, answer in zip(requests, together, strict=True):
        (alone,) = hpa_mmdet.Predictor(config).predict([request])
        assert (alone.image_id, alone.width, alone.height) == (
            answer.image_id,
            answer.width,
            answer.height,
        )
        assert [cell.counts for cell in alone.cells] == [cell.counts for cell in answer.cells]


def test_16_bit_is_brought_to_8(config: Path) -> None:
    image, _ = cell_image(1)
    wide = hpa_mmdet.Predictor(config)(image.astype(np.uint16) * 257)
    assert [cell.counts for cell in wide] == [
        cell.counts for cell in hpa_mmdet.Predictor(config)(image)
    ]


def test_an_image_without_cells(config: Path) -> None:
    dark = np.zeros((40, 60, 4), np.uint8)
    for options in ({}, {"tta": "d4"}, {"tile_px": 32, "overlap_px": 8}):
        assert hpa_mmdet.Predictor(config, **options)(dark) == []
        assert hpa_mmdet.Predictor(config, **options)(dark, np.zeros((40, 60), np.uint8)) == []


def test_weak_cells_are_left_out(config: Path) -> None:
    image, _ = cell_image(1)
    everything = hpa_mmdet.Predictor(config)(image)
    bar = everything[2].cell_score
    strong = hpa_mmdet.Predictor(config, min_cell_score=bar)(image)
    assert len(strong) == 3


def test_found_cells_are_named_by_the_pixels_they_are_left_with(config: Path) -> None:
    image, _ = cell_image(5)
    cells = hpa_mmdet.Predictor(config, clean="separate")(image)
    given = hpa_mmdet.Predictor(config)(image, label_image_of(cells, image.shape[:2]))
    for one, other in zip(cells, given, strict=True):
        assert np.array_equal(one.localization_scores, other.localization_scores)
    as_found = hpa_mmdet.Predictor(config, clean="none")(image)
    assert any(
        not np.array_equal(one.localization_scores, other.localization_scores)
        for one, other in zip(cells, as_found, strict=True)
    )


def test_the_network_is_told_not_to_name_cells_that_are_named_later(config: Path) -> None:
    request = ImageRequest("a", cell_image(5)[0])
    for clean, named in (("none", True), ("suppress", True), ("separate", False), ("grow", False)):
        views = hpa_mmdet.Predictor(config, clean=clean).prepare(request).views
        assert [view.sample.get("name_cells", True) for view in views] == [named]


def test_cells_that_growing_makes_weak_are_left_out(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weaken(cells: list, *_: object) -> list:
        return [replace(cell, cell_score=0.4) if at == 1 else cell for at, cell in enumerate(cells)]

    monkeypatch.setattr("hpa_mmdet.inference.detector_views.clean_cells", weaken)
    image, _ = cell_image(1)
    everything = hpa_mmdet.Predictor(config)(image)
    assert len(hpa_mmdet.Predictor(config, min_cell_score=0.45)(image)) == len(everything) - 1


def test_a_full_device_halves_the_batch(tmp_path: Path) -> None:
    config = write_config(tmp_path, f", memory_px={2 * 120 * 170}")
    requests = [ImageRequest(f"i{seed}", cell_image(seed)[0]) for seed in range(6)]
    predictor = hpa_mmdet.Predictor(config, batch_size=4)
    answers = predictor.predict(requests)
    assert [len(answer.cells) > 0 for answer in answers] == [True] * 6
    assert predictor.loaded.model.batch_sizes == [4, 2, 2, 2, 2, 2, 2]
    assert predictor.notes == ["out of memory on cpu: went on with batches of 2"]


def test_one_image_too_large_for_the_device_says_so(tmp_path: Path) -> None:
    predictor = hpa_mmdet.Predictor(write_config(tmp_path, ", memory_px=100"))
    with pytest.raises(
        InputError, match=r"device cpu: found too little memory .* 170x120 .*--tile"
    ):
        predictor(cell_image(0)[0])


def test_another_failure_of_the_network_is_not_taken_for_a_full_device(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: StandInCells, data: dict) -> list:
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr(StandInCells, "test_step", broken)
    with pytest.raises(RuntimeError, match="sizes do not match"):
        hpa_mmdet.Predictor(config)(cell_image(0)[0])


def test_numbers_that_are_not_finite_never_leave(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = hpa_mmdet.Predictor(config)
    with torch.no_grad():
        predictor.loaded.model.rates[3] = float("nan")
    with pytest.raises(
        InputError, match="image given: the model gave a score, box or mask that is not"
    ):
        predictor(cell_image(0)[0])


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        pytest.param(
            np.zeros((9, 8, 3), np.uint8), None, r"shape \(9, 8, 3\), expected .*4", id="RGB"
        ),
        pytest.param(np.zeros((9, 8), np.uint8), None, r"shape \(9, 8\)", id="one plane"),
        pytest.param(np.zeros((0, 8, 4), np.uint8), None, r"shape \(0, 8, 4\)", id="no pixels"),
        pytest.param(
            np.zeros((9, 8, 4), np.uint8),
            np.zeros((8, 9), int),
            "9x8 pixels, expected 8x9",
            id="mask",
        ),
        pytest.param(np.zeros((9, 8, 4)), None, "float64 pixels, expected 8 or 16 bit", id="float"),
    ],
)
def test_bad_arrays_are_refused(
    config: Path, image: np.ndarray, labels: np.ndarray | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        hpa_mmdet.Predictor(config)(image, labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"tta": "d8"}, "tta: found 'd8', expected none, flips, d4", id="tta"),
        pytest.param({"batch_size": 0}, "--batch-size: found 0", id="batch"),
        pytest.param(
            {"tile_px": 64, "overlap_px": 64}, "--overlap: found 64, expected 0 to 63", id="o"
        ),
        pytest.param({"device": "tpu"}, "--device: found tpu", id="device"),
    ],
)
def test_bad_options_are_refused(config: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hpa_mmdet.Predictor(config, **options)


def test_importing_the_package_loads_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, hpa_mmdet; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        hpa_mmdet.Predicter  # noqa: B018
