"""Agreement of two sets of masks: counts by hand, oracle, the tool, real masks."""

import json
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.cli.compare_masks import main
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.segment.agreement import Agreement, compare_cells, compare_files
from hpa_mmdet.segment.compare import overlaps


def bands(*widths_and_ids: tuple[int, int]) -> np.ndarray:
    row = np.concatenate([np.full(width, k) for width, k in widths_and_ids])
    return np.tile(row, (4, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    ("reference", "predicted", "expected"),
    [
        pytest.param(bands((10, 3), (5, 0)), bands((8, 9), (7, 0)), (1, 1, 1, 0, 0), id="match"),
        pytest.param(bands((10, 3), (5, 0)), bands((4, 9), (11, 0)), (1, 1, 0, 0, 0), id="small"),
        pytest.param(bands((10, 3), (2, 0)), bands((5, 1), (5, 7), (2, 0)), (1, 2, 0, 1, 0), id="split"),
        pytest.param(bands((6, 3), (6, 8)), bands((12, 1)), (2, 1, 0, 0, 1), id="merged"),
        pytest.param(bands((9, 3), (3, 8)), bands((12, 1)), (2, 1, 1, 0, 0), id="merged but matched"),
        pytest.param(bands((5, 0)), bands((5, 0)), (0, 0, 0, 0, 0), id="no cells"),
        pytest.param(bands((5, 2)), bands((5, 0)), (1, 0, 0, 0, 0), id="none found"),
    ],
)  # fmt: skip
def test_counts_by_hand(reference: np.ndarray, predicted: np.ndarray, expected: tuple) -> None:
    assert compare_cells(reference, predicted, [0.6]) == [Agreement(*expected)]


@pytest.mark.parametrize("seed", range(3))
def test_matches_are_those_of_a_literal_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference = np.repeat(np.repeat(rng.integers(0, 6, (5, 7)), 4, 0), 4, 1)
    predicted = np.roll(reference, (1, 1), (0, 1)) * 2
    predicted[rng.random(predicted.shape) < 0.1] = 0
    matched = 0
    for k in np.unique(reference[reference > 0]):
        for j in np.unique(predicted[predicted > 0]):
            first, second = reference == k, predicted == j
            matched += (first & second).sum() / (first | second).sum() >= 0.5
    assert compare_cells(reference, predicted, [0.5])[0].matched == matched


def test_a_match_has_at_least_the_iou_asked_for() -> None:
    whole, half = bands((10, 3), (5, 0)), bands((5, 7), (10, 0))
    found = compare_cells(whole, half, [0.5, 0.501])
    assert [one.matched for one in found] == [1, 0]
    # half of a piece inside is not most of it
    straddling = bands((4, 0), (4, 1), (4, 2), (3, 0))
    assert compare_cells(bands((6, 5), (4, 6), (5, 0)), straddling, [0.9]) == [Agreement(2, 2)]


def test_pictures_without_pixels_have_no_cells() -> None:
    nothing = np.zeros((0, 5), np.uint8)
    found = overlaps(nothing, nothing)
    assert [len(values) for values in found] == [0] * 7
    assert compare_cells(nothing, nothing, [0.5]) == [Agreement()]


def test_sums_and_f1() -> None:
    total = Agreement(4, 3, 2, 1, 0) + Agreement(1, 2, 1, 0, 1)
    assert total == Agreement(5, 5, 3, 1, 1)
    assert (total.missed, total.extra, total.f1) == (2, 2, 0.6)
    assert Agreement() == Agreement(0, 0, 0, 0, 0)
    assert Agreement().f1 == 1.0


def test_sizes_that_differ_are_named(tmp_path: Path) -> None:
    write_label_image(tmp_path / "a.png", np.zeros((4, 5), np.uint8))
    write_label_image(tmp_path / "b.png", np.zeros((4, 6), np.uint8))
    with pytest.raises(InputError, match=r"b.png: found 6x4 pixels, expected 5x4 as .*a.png"):
        compare_files(tmp_path / "a.png", tmp_path / "b.png", [0.5])


def test_the_tool_compares_what_is_in_both_and_names_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, names in (("ours", ["a", "b", "x"]), ("theirs", ["a", "b", "y"])):
        for name in names:
            size = 6 if (folder, name) == ("ours", "b") else 5
            path = tmp_path / folder / f"{name}_mask.png"
            write_label_image(path, bands((size, 2), (3, 0)))
    out = tmp_path / "out.json"
    assert main([str(tmp_path / "ours"), str(tmp_path / "theirs"), "--json", str(out)]) == 1
    printed = capsys.readouterr()
    assert "only in" in printed.err
    assert "failed b" in printed.err
    content = json.loads(out.read_text())
    assert list(content["per_image"]) == ["a"]
    assert [row["matched"] for row in content["all"]] == [1, 1, 1]


@pytest.mark.parametrize("options", [["--iou", "1.5"], []], ids=["iou", "no folder"])
def test_bad_input_is_refused(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), *options]) == 2
    assert "expected" in capsys.readouterr().err


def test_nothing_in_common_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write_label_image(tmp_path / name / f"{name}.png", bands((3, 1)))
    assert main([str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "no image in both folders" in capsys.readouterr().err


def test_the_hpa_segmenter_against_hand_corrected_masks(real_data: Path, tmp_path: Path) -> None:
    manual = real_data / "hpa_manual"
    out = tmp_path / "out.json"
    assert main([str(manual / "segmenter"), str(manual / "truth"), "--json", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["images"] == 148
    assert content["all"][1]["reference"] == 2060
    # 0.968 was counted over the 328 images of which these are 148
    assert content["all"][1]["f1"] == pytest.approx(0.968, abs=0.015)


def test_a_cell_that_is_just_matched_is_not_split() -> None:
    whole, halves = np.array([[5, 5, 5, 5]]), np.array([[1, 1, 2, 2]])
    assert compare_cells(whole, halves, [0.5])[0].split == 0  # each half has an IoU of 0.5
    assert compare_cells(whole, halves, [0.51])[0].split == 1
