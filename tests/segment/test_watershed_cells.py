"""The default segmenter on synthetic cells and on real ones, through its tool."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.cli.segment import main as segment
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.segment import WatershedSegmenter
from hpa_mmdet.segment.agreement import Agreement, compare_cells, compare_files
from hpa_mmdet.segment.sizes import WORKING_DIAMETER_PX, NucleusSize
from hpa_mmdet.synth import render_image

CHANNELS = ("red", "green", "blue", "yellow")


def test_synthetic_cells_are_found_and_share_ids_with_their_nuclei() -> None:
    total = Agreement()
    for seed in range(4):
        image = render_image(seed, (300, 420), 0.3)
        planes = {name: image.channels[..., k] for k, name in enumerate(CHANNELS)}
        found = WatershedSegmenter()(planes)
        total += compare_cells(image.cells, found.cells, [0.5])[0]
        inside = found.nuclei > 0
        np.testing.assert_array_equal(found.nuclei[inside], found.cells[inside])
        ids = np.unique(found.cells[found.cells > 0])
        assert ids.tolist() == list(range(1, len(ids) + 1))
    assert total.reference > 15
    assert total.f1 >= 0.9


def test_large_nuclei_are_shrunk_to_the_working_size_and_small_ones_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[tuple[int, ...], float]] = []

    def nuclei_of(dna: NDArray[np.float32], diameter: float) -> NDArray[np.int32]:
        seen.append((dna.shape, diameter))
        return np.ones(dna.shape, np.int32)

    def cells_of(nuclei: NDArray[np.int32], stains: object, diameter: float) -> NDArray[np.int32]:
        seen.append((nuclei.shape, diameter))
        return nuclei

    monkeypatch.setattr("hpa_mmdet.segment.watershed.find_nuclei", nuclei_of)
    monkeypatch.setattr("hpa_mmdet.segment.watershed.grow_cells", cells_of)
    image = render_image(0, (300, 420), 0.3)
    planes = {name: image.channels[..., k] for k, name in enumerate(CHANNELS)}
    for diameter in (2 * WORKING_DIAMETER_PX, WORKING_DIAMETER_PX / 2):
        WatershedSegmenter(size=NucleusSize(diameter_px=diameter))(planes)
    shrunk, whole = (150, 210), (300, 420)
    assert [shape for shape, _ in seen] == [shrunk, shrunk, whole, whole]
    diameters = [WORKING_DIAMETER_PX] * 2 + [WORKING_DIAMETER_PX / 2] * 2
    assert [diameter for _, diameter in seen] == diameters


def test_a_dark_picture_has_no_cells() -> None:
    dark = {name: np.zeros((60, 90), np.uint8) for name in ("red", "blue", "yellow")}
    found = WatershedSegmenter()(dark)
    assert not found.cells.any()
    assert found.cells.shape == (60, 90)


def test_a_missing_nuclear_stain_is_named() -> None:
    with pytest.raises(InputError, match=r"expected blue"):
        WatershedSegmenter()({"red": np.zeros((60, 90), np.uint8)})


def test_one_bad_image_does_not_stop_the_others(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "c")):
        image = render_image(number, (120, 180), 0.5)
        for k, channel in enumerate(CHANNELS):
            Image.fromarray(image.channels[..., k]).save(tmp_path / f"{name}_{channel}.png")
    whole = (tmp_path / "b_blue.png").read_bytes()
    (tmp_path / "b_blue.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c_red.png").unlink()
    masks = tmp_path / "masks"
    assert segment([str(tmp_path), "--out", str(masks)]) == 1
    assert [path.name for path in sorted(masks.glob("*.png"))] == ["a_mask.png"]
    report = (masks / "segment_report.json").read_text()
    assert "b_blue.png" in report
    assert "no red file" in report


def test_contest_cells_agree_with_the_hpa_segmenters(real_data: Path, tmp_path: Path) -> None:
    contest = real_data / "hpa_contest"
    assert segment([str(contest / "train"), "--out", str(tmp_path)]) == 0
    total = Agreement()
    for path in sorted(tmp_path.glob("*_mask.png")):
        total += compare_files(contest / "masks" / path.name, path, [0.6])[0]
    assert total.reference == 39
    assert total.f1 >= 0.95


@pytest.mark.parametrize("part", ["ic100", "gnf"])
def test_hand_drawn_nuclei_are_found(part: str, real_data: Path, tmp_path: Path) -> None:
    source = real_data / "coelho2009" / part
    options = ["--pattern", "{id}.png", "--channels", "blue", "--nuclei-only"]
    assert segment([str(source / "images"), "--out", str(tmp_path), *options]) == 0
    total = Agreement()
    for path in sorted((source / "labels").glob("*.png")):
        found = read_label_image(tmp_path / f"{path.stem}_mask.png")
        total += compare_cells(read_label_image(path), found, [0.5])[0]
    assert total.f1 >= 0.9
