"""Loading, augmenting, packing: cells, boxes and label sets stay together."""

import json
from pathlib import Path

import numpy as np
import pytest
from discs import write_discs
from PIL import Image
from pycocotools import mask as coco_mask

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.datasets import (
    AlbumentationsBridge,
    HpaCellDataset,
    LoadCells,
    LoadHpaChannels,
    PackCells,
)
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.depth import scale_to_uint8

SHAPE_HW = (96, 128)
pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    write_discs(tmp_path, ["a", "b", "c"], SHAPE_HW)
    arguments = ["--masks", "masks", "--labels", "train.csv", "--out", "train.json"]
    paths = [str(tmp_path / word) if not word.startswith("--") else word for word in arguments]
    assert convert([str(tmp_path / "images"), *paths]) == 0
    return tmp_path


def dataset(folder: Path, pipeline: list[dict[str, object]], **options: object) -> HpaCellDataset:
    return HpaCellDataset(
        ann_file=str(folder / "train.json"),
        data_prefix={"img": str(folder / "images")},
        pipeline=pipeline,
        **options,
    )


LOAD = [{"type": "LoadHpaChannels"}, {"type": "LoadCells"}]


def test_instances_are_the_cells_of_the_json(discs: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    data = dataset(discs, [*LOAD, {"type": "PackCells", "min_side_px": 1}])
    assert len(data) == 3
    for number, image in enumerate(content["images"]):
        cells = [cell for cell in content["annotations"] if cell["image_id"] == image["id"]]
        packed = data[number]
        assert packed["inputs"].shape == (4, *SHAPE_HW)
        sample = packed["data_samples"]
        found = sample.gt_instances
        assert found.cell_ids.tolist() == [cell["cell_id"] for cell in cells]
        for row, cell in enumerate(cells):
            expected = coco_mask.decode(cell["segmentation"])
            np.testing.assert_array_equal(found.masks.masks[row], expected)
            x, y, width, height = cell["bbox"]
            assert found.bboxes.tensor[row].tolist() == [x, y, x + width, y + height]
            marked = np.flatnonzero(found.localizations[row]).tolist()
            assert [index + 1 for index in marked] == cell["category_ids"]
        assert np.flatnonzero(sample.image_labels).tolist() == image["labels"]


def test_turned_cells_keep_their_pixels_and_their_labels(discs: Path) -> None:
    flip = {"type": "AlbumentationsBridge", "transforms": [{"type": "HorizontalFlip", "p": 1.0}]}
    turn = {"type": "AlbumentationsBridge", "transforms": [{"type": "Transpose", "p": 1.0}]}
    pack = {"type": "PackCells", "min_side_px": 1}
    plain = dataset(discs, [*LOAD, pack])[0]
    turned = dataset(discs, [*LOAD, flip, turn, pack])[0]
    before, after = plain["data_samples"].gt_instances, turned["data_samples"].gt_instances
    assert after.cell_ids.tolist() == before.cell_ids.tolist()
    np.testing.assert_array_equal(
        after.masks.masks, before.masks.masks[:, :, ::-1].transpose(0, 2, 1)
    )
    np.testing.assert_array_equal(after.localizations, before.localizations)
    np.testing.assert_array_equal(
        turned["inputs"], plain["inputs"].numpy()[:, :, ::-1].transpose(0, 2, 1)
    )


def test_a_crop_drops_cells_that_it_cuts_away_with_their_labels(discs: Path) -> None:
    crop = {
        "type": "AlbumentationsBridge",
        "transforms": [{"type": "Crop", "x_min": 0, "y_min": 0, "x_max": 60, "y_max": 50}],
    }
    whole = dataset(discs, LOAD)[0]
    packed = dataset(discs, [*LOAD, crop, {"type": "PackCells", "min_side_px": 4}])[0]
    found = packed["data_samples"].gt_instances
    part = whole["cell_label_image"][:50, :60]
    rows = [
        row
        for row in range(len(whole["cell_ids"]))
        if (part == row + 1).any(0).sum() >= 4 and (part == row + 1).any(1).sum() >= 4
    ]
    assert 0 < len(rows) < len(whole["cell_ids"])
    assert found.cell_ids.tolist() == whole["cell_ids"][rows].tolist()
    np.testing.assert_array_equal(found.localizations, whole["cell_localizations"][rows])
    np.testing.assert_array_equal(found.masks.masks.sum(0), np.isin(part, np.array(rows) + 1))


def test_hidden_and_small_cells_are_counted(discs: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    first = next(cell for cell in content["annotations"] if cell["image_id"] == 1)
    hidden = {**first, "id": 1000, "cell_id": 900}
    content["annotations"].insert(0, hidden)  # the first of the two is drawn under the other
    (discs / "train.json").write_text(json.dumps(content))
    sample = dataset(discs, [*LOAD, {"type": "PackCells", "min_side_px": 1}])[0]["data_samples"]
    assert sample.cells_left_out == 1
    assert 900 not in sample.gt_instances.cell_ids.tolist()
    sample = dataset(discs, [*LOAD, {"type": "PackCells", "min_side_px": 200}])[0]["data_samples"]
    assert sample.cells_left_out == len(
        [cell for cell in content["annotations"] if cell["image_id"] == 1]
    )


def test_reviewed_cells_keep_their_mark(discs: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    cells = [cell for cell in content["annotations"] if cell["image_id"] == 1]
    cells[1]["reviewed"] = True
    (discs / "train.json").write_text(json.dumps(content))
    flip = {"type": "AlbumentationsBridge", "transforms": [{"type": "HorizontalFlip", "p": 1.0}]}
    pack = {"type": "PackCells", "min_side_px": 1}
    found = dataset(discs, [*LOAD, flip, pack])[0]["data_samples"].gt_instances
    reviewed = found.cell_ids[found.reviewed].tolist()
    assert reviewed == [cells[1]["cell_id"]]
    cells[1]["reviewed"] = "yes"
    (discs / "train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="found reviewed 'yes', expected true or false"):
        dataset(discs, LOAD)


def test_augmentation_follows_numpys_seed(discs: Path) -> None:
    steps = [
        {"type": "RandomRotate90", "p": 0.75},
        {"type": "RandomScale", "scale_limit": 0.25, "p": 1.0},
        {"type": "GaussNoise", "p": 1.0},
    ]
    data = dataset(discs, [*LOAD, {"type": "AlbumentationsBridge", "transforms": steps}])

    def draw(seed: int) -> np.ndarray:
        np.random.seed(seed)  # noqa: NPY002
        return data[0]["img"]

    np.testing.assert_array_equal(draw(1), draw(1))
    assert draw(1).shape != draw(2).shape or not np.array_equal(draw(1), draw(2))


def test_given_cells_travel_beside_the_truth(discs: Path) -> None:
    sample = dataset(discs, [*LOAD, {"type": "PackCells", "as_given": True}])[0]["data_samples"]
    assert sample.given_instances.cell_ids.tolist() == sample.gt_instances.cell_ids.tolist()


def test_prediction_needs_no_cells(discs: Path) -> None:
    packed = dataset(discs, [{"type": "LoadHpaChannels"}, {"type": "PackCells"}])[0]
    assert "gt_instances" not in packed["data_samples"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(np.array([[0, 257, 65535]], np.uint16), [[0, 1, 255]], id="16 bit"),
        pytest.param(np.array([[0, 7]], np.uint8), [[0, 7]], id="8 bit"),
    ],
)
def test_depths_become_8_bit(image: np.ndarray, expected: list[list[int]]) -> None:
    assert scale_to_uint8(image).tolist() == expected


def test_other_depths_are_refused() -> None:
    with pytest.raises(InputError, match="found int32 pixels, expected 8 or 16 bit"):
        scale_to_uint8(np.zeros((2, 3), np.int32))


def test_an_image_that_is_not_as_large_as_annotated_is_named(discs: Path) -> None:
    for path in (discs / "images").glob("a_*.png"):
        with Image.open(path) as picture:
            picture.crop((0, 0, 127, 96)).save(path)
    data = dataset(discs, [{"type": "LoadHpaChannels"}], lazy_init=False)
    with pytest.raises(InputError, match=r"image a: found 127x96 pixels, expected 128x96"):
        data.pipeline(data.get_data_info(0))


def test_other_classes_in_the_config_are_named(discs: Path) -> None:
    with pytest.raises(InputError, match=r"found 2 classes \(unknown: \['Ribosome'\]; lacking"):
        dataset(discs, LOAD, metainfo={"classes": ("Nucleoplasm", "Ribosome")})


def test_other_classes_in_the_json_are_named(discs: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    content["categories"][3] = {"id": 4, "name": "Ribosome", "supercategory": "localization"}
    (discs / "train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"train.json, category 4: found name 'Ribosome'"):
        dataset(discs, LOAD)


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        pytest.param("images", "found no images, expected at least one", id="no images"),
        pytest.param("annotations", "found 3 images without any cell", id="no cells"),
    ],
)
def test_nothing_to_train_on_is_an_error(discs: Path, drop: str, message: str) -> None:
    content = json.loads((discs / "train.json").read_text())
    content["annotations"] = []
    content[drop] = []
    (discs / "train.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        dataset(discs, LOAD, filter_cfg={"filter_empty_gt": True})


def test_images_without_cells_are_kept_where_the_config_says_so(discs: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    content["annotations"] = [cell for cell in content["annotations"] if cell["image_id"] != 2]
    (discs / "train.json").write_text(json.dumps(content))
    assert len(dataset(discs, LOAD)) == 3
    assert len(dataset(discs, LOAD, filter_cfg={"filter_empty_gt": True})) == 2
    packed = dataset(discs, [*LOAD, {"type": "PackCells"}])[1]
    assert packed["data_samples"].gt_instances.masks.masks.shape == (0, *SHAPE_HW)


def test_a_transform_that_albumentations_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="transform 'Sparkle': found nothing of that name"):
        AlbumentationsBridge([{"type": "Sparkle"}])


def test_transforms_can_be_called_alone(discs: Path) -> None:
    info = dataset(discs, []).get_data_info(1)
    results = PackCells()(LoadCells()(LoadHpaChannels(["green"])(info)))
    assert results["inputs"].shape == (1, *SHAPE_HW)
