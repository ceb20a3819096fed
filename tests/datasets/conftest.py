"""mmdet is imported by these tests, so mmcv's operators must be there first."""

from pathlib import Path

import pytest
from discs import write_discs

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.compat import prepare

prepare()


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    write_discs(tmp_path, ["a", "b", "c"], (96, 128))
    paths = [str(tmp_path / name) for name in ("images", "masks", "train.csv", "train.json")]
    assert convert([paths[0], "--masks", paths[1], "--labels", paths[2], "--out", paths[3]]) == 0
    return tmp_path
