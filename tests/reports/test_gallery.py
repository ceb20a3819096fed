"""tools/browse.py: the images asked for, drawn; bad ones listed."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from hpa_mmdet.cli.browse import main
from hpa_mmdet.coco.schema import build_categories
from hpa_mmdet.errors import InputError
from hpa_mmdet.reports.gallery import parse_label

SHAPE_HW = (40, 64)
LABELS = {"a": (14,), "b": (0, 16), "c": (16,), "d": ()}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Four images; d has no cells and no labels, a's cell is Golgi."""
    mask = np.zeros(SHAPE_HW, np.uint8, order="F")
    mask[5:20, 10:40] = 1
    counts = coco_mask.encode(mask)["counts"].decode()
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for image_id, (name, labels) in enumerate(LABELS.items(), start=1):
        files = {channel: f"{name}_{channel}.png" for channel in ("green", "red")}
        for file in files.values():
            Image.fromarray(np.full(SHAPE_HW, 90, np.uint8)).save(tmp_path / "images" / file)
        images.append(
            {
                "id": image_id,
                "hpa_id": name,
                "file_name": files["green"],
                "width": 64,
                "height": 40,
                "channel_files": files,
                "labels": list(labels),
            }
        )
        if labels:
            category_ids = [8] if name == "a" else [k + 1 for k in labels]
            annotations.append(
                {
                    "id": image_id,
                    "image_id": image_id,
                    "category_id": category_ids[0],
                    "category_ids": category_ids,
                    "bbox": [10, 5, 30, 15],
                    "area": 450,
                    "segmentation": {"size": list(SHAPE_HW), "counts": counts},
                    "cell_id": 1,
                }
            )
    content = {
        "info": {"images_root": "images"},
        "images": images,
        "annotations": annotations,
        "categories": build_categories(),
    }
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        pytest.param([], ["a", "b", "c", "d"], id="all"),
        pytest.param(["--limit", "2"], ["a", "c"], id="spread over the file"),
        pytest.param(["--label", "Cytosol"], ["b", "c"], id="by image label"),
        pytest.param(["--label", "golgi"], ["a"], id="by cell label"),
        pytest.param(["--label", "14", "--label", "0"], ["a", "b"], id="either of two"),
        pytest.param(["--id", "d", "--id", "a"], ["d", "a"], id="by id"),
    ],
)
def test_the_images_asked_for_are_shown(coco: Path, options: list[str], shown: list[str]) -> None:
    out = coco.with_name("gallery.html")
    assert main([str(coco), "--out", str(out), *options]) == 0
    html = out.read_text()
    places = [html.find(f"<p>{name}: ") for name in shown]
    assert places == sorted(places)
    assert -1 not in places
    assert html.count("<p>") == len(shown)
    assert html.count("data:image/jpeg") == 4 * len(shown)  # cells, RGB, red, green


def test_a_bad_image_does_not_stop_the_others(
    coco: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (coco.parent / "images" / "b_red.png").unlink()
    out = coco.with_name("gallery.html")
    assert main([str(coco), "--out", str(out)]) == 1
    assert "failed b:" in capsys.readouterr().err
    assert out.read_text().count("<p>") == 3


def test_masks_without_pixels_are_drawn_on_black(coco: Path) -> None:
    content = json.loads(coco.read_text())
    del content["info"]["images_root"]
    coco.write_text(json.dumps(content))
    out = coco.with_name("gallery.html")
    assert main([str(coco), "--out", str(out)]) == 0
    assert out.read_text().count("data:image/jpeg") == 4
    assert "No pixels" in out.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--label", "Nucleus"], "--label Nucleus: found Nucleus, expected", id="name"),
        pytest.param(["--label", "18"], "found no image with Negative", id="none has it"),
        pytest.param(["--id", "z"], "found no image z, expected its hpa_id", id="id"),
        pytest.param(["--images", "/none"], "/none: found no folder", id="folder"),
    ],
)
def test_bad_input_writes_nothing(
    coco: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    out = coco.with_name("gallery.html")
    assert main([str(coco), "--out", str(out), *options]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_place_that_cannot_be_written(coco: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(coco), "--out", str(coco / "gallery.html")]) == 2
    assert "cannot be written (Not a directory)" in capsys.readouterr().err


def test_a_number_that_is_no_class() -> None:
    with pytest.raises(InputError, match="--label 19: found label index 19"):
        parse_label("19")
