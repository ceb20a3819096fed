"""Images whose cells the stand-in model finds, and their truth."""

import os
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.draw import ellipse

CHANNELS = ("red", "green", "blue", "yellow")
# from which other processes import the stand-in model, and this checkout of the package
PYTHONPATH = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[2])))


def cell_image(seed: int, shape_hw: tuple[int, int] = (120, 170), cells: int = 5) -> tuple:
    """(H, W, 4) uint8 and a label image: ellipses apart from each other, ids with gaps."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape_hw, np.uint16)
    for number in range(cells * 20):
        centre, radii = rng.uniform((0, 0), shape_hw), rng.uniform(9, 16, 2)
        where = ellipse(*centre, *(radii + 2), shape=shape_hw)
        if where[0].size < 200 or labels[where].any():
            continue
        labels[ellipse(*centre, *radii, shape=shape_hw)] = number + 2
        if len(np.unique(labels)) > cells:
            break
    image = rng.integers(0, 30, (*shape_hw, 4)).astype(np.uint8)
    for cell_id in np.unique(labels[labels > 0]):
        inside = labels == cell_id
        image[inside, 2] = rng.integers(130, 250)
        image[inside, 1] = rng.integers(20, 250)
    return image, labels


def write_images(folder: Path, seeds: range, shape_hw: tuple[int, int] = (120, 170)) -> list[str]:
    """Channel files of several images; every third is turned on its side."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = []
    for seed in seeds:
        image, _ = cell_image(seed, shape_hw[::-1] if seed % 3 == 2 else shape_hw)
        ids.append(f"image-{seed:03d}")
        for number, channel in enumerate(CHANNELS):
            Image.fromarray(image[..., number]).save(folder / f"{ids[-1]}_{channel}.png")
    return ids


def write_config(folder: Path, model: str = "", channels: tuple[str, ...] = CHANNELS) -> Path:
    """A config of the stand-in model, in a folder from which Python can import it."""
    path = folder / "stand_in_config.py"
    path.write_text(
        'default_scope = "mmdet"\n'
        'custom_imports = dict(imports=["stand_in"], allow_failed_imports=False)\n'
        f'model = dict(type="StandInCells"{model})\n'
        f"test_pipeline = [dict(type='LoadHpaChannels', channels={channels}), "
        "dict(type='PackCells')]\n"
    )
    return path
