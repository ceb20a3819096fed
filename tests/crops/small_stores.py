"""Small stores of crops for tests."""

import json
from pathlib import Path

import numpy as np

from hpa_mmdet.cli.extract_crops import main
from hpa_mmdet.crops import CropOptions, CropStore, cells_of_image, cut_crops
from hpa_mmdet.io.channels import CHANNELS, find_images, read_channels
from hpa_mmdet.io.label_images import read_label_image

SMALL = ["--size", "16", "--channels", "green", "mask", "red"]


def extract(data: Path, *words: str, out: str = "store") -> CropStore:
    assert main([str(data / "train.json"), "--out", str(data / out), *SMALL, *words]) == 0
    return CropStore(data / out)


def cut_by_hand(data: Path, hpa_id: str, options: CropOptions) -> np.ndarray:
    image = next(image for image in find_images(data / "images") if image.image_id == hpa_id)
    pixels = read_channels(image)
    planes = {name: pixels[..., at] for at, name in enumerate(CHANNELS)}
    cells = cells_of_image(read_label_image(data / "masks" / f"{hpa_id}_mask.png"))
    return cut_crops(planes, cells, options).pixels


def relabel(data: Path, **changes: object) -> Path:
    content = json.loads((data / "train.json").read_text())
    content["annotations"][1] |= changes
    (data / "refined.json").write_text(json.dumps(content))
    return data / "refined.json"
