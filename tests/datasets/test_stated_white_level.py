"""Full brightness of 16-bit files: measured over the training set, stated, kept, never guessed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import write_discs
from mmengine.config import Config
from PIL import Image

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.cli.train_depth import set_white_level
from hpa_mmdet.datasets import HpaCellDataset
from hpa_mmdet.errors import InputError

SHAPE_HW = (96, 128)
pytestmark = pytest.mark.usefixtures("mmdet_scope")


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """Images a, b and c at 12 bits in 16-bit files; a is at most half as bright."""
    write_discs(tmp_path, ["a", "b", "c"], SHAPE_HW)
    for path in (tmp_path / "images").glob("*.png"):
        pixels = np.array(Image.open(path)).astype(np.uint16) * (10 if "a_" in path.name else 29)
        Image.fromarray(pixels).save(path)
    arguments = ["--masks", "masks", "--labels", "train.csv", "--out", "train.json"]
    paths = [word if word.startswith("--") else str(tmp_path / word) for word in arguments]
    assert convert([str(tmp_path / "images"), *paths]) == 0
    return tmp_path


def config(folder: Path, **more: Any) -> Config:
    reading = {"type": "LoadHpaChannels", "channels": ["red", "green"]}
    dataset = {
        "type": "HpaCellDataset",
        "ann_file": str(folder / "train.json"),
        "data_prefix": {"img": str(folder / "images")},
        "pipeline": [dict(reading)],
    }
    wrapped = {"type": "RepeatDataset", "times": 2, "dataset": dataset}
    return Config(
        {"train_dataloader": {"dataset": wrapped}, "test_pipeline": [dict(reading)], **more}
    )


def images(given: Config) -> list[np.ndarray]:
    dataset = dict(given.train_dataloader.dataset.dataset)
    data = HpaCellDataset(**{key: value for key, value in dataset.items() if key != "type"})
    return [data[number]["img"] for number in range(3)]


def test_the_training_sets_range_is_measured_and_written_into_every_step(twelve: Path) -> None:
    given = config(twelve)
    told = set_white_level(given)
    assert "read with white level 4095 (12 bits)" in told
    assert given.white_level == 4095
    assert given.test_pipeline[0].white_level == 4095
    dim, bright, _ = images(given)
    assert 120 * 29 * 255 // 4095 <= bright.max() <= 255
    assert dim.max() < 0.5 * bright.max()  # its own range would have made it as bright
    assert len(np.unique(bright)) > 20


def test_a_stated_white_level_stands(twelve: Path) -> None:
    given = config(twelve, white_level=65535)
    assert set_white_level(given) == "white level 65535 as the config says"
    assert max(image.max() for image in images(given)) <= 16
    given = config(twelve, white_level=1023)
    set_white_level(given)
    with pytest.raises(InputError, match=r"image a: a value of \d+ exceeds the white level 1023"):
        images(given)


@pytest.mark.parametrize("level", [0, 70000, "4095"])
def test_other_levels_are_refused(level: object, twelve: Path) -> None:
    with pytest.raises(InputError, match=f"white_level: found {level}, expected 1 to 65535"):
        set_white_level(config(twelve, white_level=level))


def test_the_image_cache_keeps_levels_apart(twelve: Path) -> None:
    low, high = config(twelve, white_level=4095), config(twelve, white_level=65535)
    for given in (low, high):
        given.train_dataloader.dataset.dataset.pipeline[0].cache = str(twelve / "cache")
        set_white_level(given)
        first, again = images(given), images(given)
        np.testing.assert_array_equal(first[1], again[1])
    assert images(low)[1].max() > 10 * images(high)[1].max()


def test_where_no_images_are_read_nothing_is_measured() -> None:
    crops = Config({"train_dataloader": {"dataset": {"type": "CropBagDataset", "store": "x"}}})
    assert set_white_level(crops) == ""
