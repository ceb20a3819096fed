"""A small data set: three images that are not square, cells with gaps in their ids."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.io.label_images import write_label_image

SHAPE_HW = (70, 110)
IDS = ("a", "b", "c")


def label_image() -> np.ndarray:
    """Cells 2 (at the border), 5 (with a hole and a speck far off) and 9."""
    cells = np.zeros(SHAPE_HW, np.uint16)
    cells[0:14, 3:25] = 2
    cells[30:60, 20:45] = 5
    cells[40:44, 30:34] = 0
    cells[66, 100] = 5
    cells[20:50, 70:98] = 9
    return cells


def write_images(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for place, hpa_id in enumerate(IDS):
        cells = label_image() if hpa_id != "c" else np.zeros(SHAPE_HW, np.uint16)
        write_label_image(folder / "masks" / f"{hpa_id}_mask.png", np.roll(cells, place, axis=1))
        nuclei = np.zeros(SHAPE_HW, np.uint16)
        nuclei[35:45, 25:35], nuclei[25:35, 78:88] = 5, 9
        nuclei = np.roll(nuclei, place, axis=1) * (cells.any())
        write_label_image(folder / "nuclei" / f"{hpa_id}_mask.png", nuclei)
        for channel in CHANNELS:
            path = folder / "images" / f"{hpa_id}_{channel}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(1, 250, SHAPE_HW).astype(np.uint8)).save(path)
    (folder / "labels.csv").write_text("ID,Label\na,3|5\nb,0\nc,16\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with images, masks, nuclei, labels.csv and train.json; image c has no cell."""
    write_images(tmp_path)
    places = {"--masks": "masks", "--labels": "labels.csv", "--out": "train.json"}
    words = [word for key, name in places.items() for word in (key, str(tmp_path / name))]
    assert convert([str(tmp_path / "images"), *words]) == 0
    return tmp_path
