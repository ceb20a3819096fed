"""tools/stats.py on label tables and on COCO JSON, with and without pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.cli.stats import main
from hpa_mmdet.io.label_tables import read_native_labels
from hpa_mmdet.localizations import HPA28_NAMES

SHAPE_HW = (40, 64)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three images with labels and masks; the middle one has no cells."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    label_image = np.zeros(SHAPE_HW, np.uint8)
    label_image[5:15, 5:25] = 3
    label_image[20:40, 30:64] = 7
    for name in ("a", "b", "c"):
        for channel in ("red", "green", "blue", "yellow"):
            pixels = rng.integers(0, 250, SHAPE_HW).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / f"{name}_{channel}.png")
        mask = label_image * (name != "b")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}_mask.png")
    (tmp_path / "train.csv").write_text("ID,Label\na,14\nb,0|16\nc,16|0|5\n")
    return tmp_path


def _numbers(page: Path) -> dict:
    return json.loads(page.with_suffix(".json").read_text())


def test_a_label_table_alone(dataset: Path) -> None:
    out = dataset / "stats.html"
    assert main([str(dataset / "train.csv"), "--out", str(out)]) == 0
    numbers = _numbers(out)["image_labels"]
    assert numbers["counts"]["Cytosol"] == 2
    assert numbers["alone"]["Mitochondria"] == 1
    assert numbers["items_by_number_of_labels"] == {"0": 0, "1": 1, "2": 1, "3": 1}
    html = out.read_text()
    assert "Nucleoplasm + Cytosol" in html
    assert "No pixels" in html


def test_a_coco_json_with_pixels(dataset: Path) -> None:
    coco, out = dataset / "train.json", dataset / "stats.html"
    arguments = [str(dataset / "images"), "--masks", str(dataset / "masks"), "--out", str(coco)]
    assert convert([*arguments, "--labels", str(dataset / "train.csv"), "--workers", "1"]) == 0
    assert main([str(coco), "--out", str(out)]) == 0
    numbers = _numbers(out)
    assert numbers["cells"]["cells"] == 4
    assert numbers["cells"]["cells_on_border"] == 2
    assert numbers["cells"]["images_without_cells"] == ["b"]
    assert numbers["cells"]["crop width, px"]["max"] == 34
    assert numbers["cell_labels"]["counts"]["Nuclear bodies"] == 2
    assert list(numbers["brightness"]["a"]) == ["red", "green", "blue", "yellow"]
    html = out.read_text()
    assert html.count("data:image/jpeg") == 3
    assert "Examples with several labels" in html


def test_a_table_with_pixels_of_some_images(dataset: Path) -> None:
    (dataset / "train.csv").write_text("ID,Label\na,14\nother,0|16\nc,16|0|5\n")
    (dataset / "images" / "a_yellow.png").unlink()  # an image may lack a channel
    out = dataset / "stats.html"
    options = ["--images", str(dataset / "images"), "--sample", "1"]
    assert main([str(dataset / "train.csv"), "--out", str(out), *options]) == 0
    assert list(_numbers(out)["brightness"]) == ["a"]
    assert out.read_text().count("data:image/jpeg") == 2


def test_a_bad_picture_is_listed_and_the_page_written(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "images" / "a_red.png").write_bytes(b"\x89PNG")
    out = dataset / "stats.html"
    options = ["--images", str(dataset / "images")]
    assert main([str(dataset / "train.csv"), "--out", str(out), *options]) == 1
    assert capsys.readouterr().err.count("failed a:") == 1
    assert list(_numbers(out)["brightness"]) == ["b", "c"]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        pytest.param("ID,Label\na,19\n", [], "found label index 19, expected 0 to 18", id="label"),
        pytest.param("ID,Label\n", [], "found no rows, expected one row per image", id="empty"),
        pytest.param("ID,Label\nx,1\n", ["--images"], "found no image of train.csv", id="other"),
    ],
)
def test_bad_input_writes_nothing(
    dataset: Path,
    capsys: pytest.CaptureFixture[str],
    table: str,
    options: list[str],
    message: str,
) -> None:
    (dataset / "train.csv").write_text(table)
    out = dataset / "stats.html"
    options = [*options, str(dataset / "images")] if options else []
    assert main([str(dataset / "train.csv"), "--out", str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_no_folder_for_a_json(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = dataset / "train.json"
    coco.write_text('{"images": [], "annotations": [], "categories": []}')
    out = ["--out", str(dataset / "stats.html")]
    assert main([str(coco), *out, "--images", str(dataset / "none")]) == 2
    assert "found no folder, expected the images' folder" in capsys.readouterr().err


def test_a_table_keeps_its_own_classes(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Id,Target\na,23 8\nb,9 10\n")
    assert read_native_labels(table, "hpa28") == (HPA28_NAMES, {"a": (8, 23), "b": (9, 10)})
    table.write_text("ID,Label\na,Vesicles|Cytosol\nb,Cytosol\n")
    want = (("Cytosol", "Vesicles"), {"a": (0, 1), "b": (0,)})
    assert read_native_labels(table, "names") == want


def test_the_contests_own_tables(real_data: Path, tmp_path: Path) -> None:
    names, sets = read_native_labels(real_data / "hpa_contest" / "train.csv")
    assert (len(names), len(sets)) == (19, 21806)
    out = tmp_path / "stats.html"
    table = real_data / "hpa_2018" / "train.csv"
    assert main([str(table), "--label-scheme", "hpa28", "--out", str(out)]) == 0
    numbers = _numbers(out)["image_labels"]
    # counts of the 2018 contest's training set, as published by its entrants
    assert numbers["items"] == 31072
    assert numbers["counts"]["Nucleoplasm"] == 12885
    assert numbers["counts"]["Rods & rings"] == 11
    assert numbers["items_by_number_of_labels"]["1"] == 15126
