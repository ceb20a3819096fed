"""A small data set of discs with its store; mmcv's operators must be there before mmdet."""

from pathlib import Path

import pytest

from hpa_mmdet.compat import prepare

prepare()

from discs import write_discs  # noqa: E402

from hpa_mmdet.cli.convert_coco import main as convert  # noqa: E402
from hpa_mmdet.coco.folds import Grouping  # noqa: E402
from hpa_mmdet.crops.extract import extract_crops  # noqa: E402
from hpa_mmdet.crops.options import CropOptions  # noqa: E402
from hpa_mmdet.crops.sources import SourceOptions  # noqa: E402

CROP = {"channels": ["red", "green", "blue", "yellow", "mask"], "size_px": 32}


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images, 96x128, in train/, masks/, train.json, groups.csv and the store train_crops."""
    folder = tmp_path_factory.mktemp("discs")
    write_discs(folder, ["a", "b", "c", "d", "e", "f"])
    (folder / "images").rename(folder / "train")
    names = {"--masks": "masks", "--labels": "train.csv", "--out": "train.json"}
    flat = [part for option, name in names.items() for part in (option, str(folder / name))]
    assert convert([str(folder / "train"), *flat]) == 0
    groups = folder / "groups.csv"
    groups.write_text("ID,antibody\na,1\nb,1\nc,2\nd,2\ne,3\nf,3\n")
    source = SourceOptions(folder / "train.json", groups=Grouping(groups, "antibody"))
    report = extract_crops(source, folder / "train_crops", CropOptions.from_dict(CROP))
    assert not report.failures
    return folder
