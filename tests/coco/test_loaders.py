"""Other readers load our files with the same counts: nothing is lost on the way."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from make_dataset import Dataset, make_dataset, options
from pycocotools.coco import COCO

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.compat import prepare
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.localizations import NAMES

IDS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = make_dataset(tmp_path_factory.mktemp("loaders") / "data", IDS)
    from PIL import Image

    for path in made.masks.iterdir():  # as large as mmdet's smallest side
        large = np.kron(read_label_image(path), np.ones((2, 2), np.uint8))
        Image.fromarray(large).save(path)
    for path in made.images.iterdir():
        with Image.open(path) as picture:
            large_picture = picture.resize((80, 46))
        large_picture.save(path)
    return made


@pytest.fixture(scope="module", params=["per-cell", "per-label"])
def coco(
    dataset: Dataset, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("coco") / "t.json"
    convert(dataset.sources(), out, options(layout=request.param))
    return out


def annotations_of(path: Path) -> list[dict]:
    import json

    return json.loads(path.read_text())["annotations"]


def test_pycocotools_loads_all(coco: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        loaded = COCO(str(coco))
    expected = annotations_of(coco)
    assert len(loaded.getImgIds()) == len(IDS)
    assert len(loaded.getAnnIds()) == len(expected)
    assert [category["name"] for category in loaded.loadCats(loaded.getCatIds())] == list(NAMES)
    for annotation in loaded.loadAnns(loaded.getAnnIds()):
        mask = loaded.annToMask(annotation)
        assert mask.sum() == annotation["area"]
        y, x = np.nonzero(mask)
        x_first, y_first, width, height = annotation["bbox"]
        assert (x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1) == (x_first, y_first, width, height)


def test_mmdet_drops_nothing(coco: Path, dataset: Dataset) -> None:
    prepare()
    from mmdet.datasets import CocoDataset

    with contextlib.redirect_stdout(io.StringIO()):
        loaded = CocoDataset(
            ann_file=str(coco),
            data_prefix={"img": str(dataset.images)},
            metainfo={"classes": NAMES},
            filter_cfg={"filter_empty_gt": True, "min_size": 32},
            pipeline=[],
        )
    assert len(loaded) == len(IDS)
    instances = [
        instance for at in range(len(loaded)) for instance in loaded.get_data_info(at)["instances"]
    ]
    expected = annotations_of(coco)
    assert len(instances) == len(expected)
    assert [instance["bbox_label"] + 1 for instance in instances] == [
        cell["category_id"] for cell in expected
    ]


def test_torchvision_loads_all(coco: Path, dataset: Dataset) -> None:
    from torchvision import datasets

    with contextlib.redirect_stdout(io.StringIO()):
        loaded = datasets.CocoDetection(str(dataset.images), str(coco))
    assert len(loaded) == len(IDS)
    picture, targets = loaded[1]
    assert picture.size == (80, 46)
    assert sum(len(loaded[at][1]) for at in range(len(loaded))) == len(annotations_of(coco))
    assert targets[0]["cell_id"] == 1


def test_supervision_loads_all(coco: Path, dataset: Dataset) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not here")
    loaded = supervision.DetectionDataset.from_coco(
        images_directory_path=str(dataset.images), annotations_path=str(coco), force_masks=True
    )
    assert len(loaded) == len(IDS)
    expected = annotations_of(coco)
    detections = [found for _, _, found in loaded]
    assert sum(len(found) for found in detections) == len(expected)
    areas = sorted(int(mask.sum()) for found in detections for mask in found.mask)
    assert areas == sorted(cell["area"] for cell in expected)


def test_our_own_reader_loads_all(coco: Path) -> None:
    assert [len(image.cells) for image in read_coco(coco).images] == [3] * len(IDS)
