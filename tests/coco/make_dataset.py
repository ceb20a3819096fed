"""Small folders of images, masks and tables for the tests of conversion."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.coco.plan import Sources

CHANNELS = ("red", "green", "blue", "yellow")
SHAPE_HW = (23, 40)  # never square: swapped axes must fail


class Dataset(NamedTuple):
    """Where the pieces are; `labels` and `cell_labels` are CSV files."""

    images: Path
    masks: Path
    nuclei: Path
    labels: Path
    cell_labels: Path

    def sources(self, **changes: Path | None) -> Sources:
        """Take everything but nuclei and cell labels, with changes."""
        chosen = {"masks": self.masks, "labels": self.labels, "images": self.images}
        return Sources(**{**chosen, **changes})


def label_image_of(seed: int, cells: int = 3, shape_hw: tuple[int, int] = SHAPE_HW) -> np.ndarray:
    """Some cells with gaps between their ids; the first touches the left border."""
    label_image = np.zeros(shape_hw, np.uint8)
    rng = np.random.default_rng(seed)
    for number in range(cells):
        y, x = 2 + int(rng.integers(5)), 12 * number
        label_image[y : y + 9, x : x + 8] = 2 * number + 1
    return label_image


def make_dataset(folder: Path, ids: tuple[str, ...] = ("a", "b", "c")) -> Dataset:
    """Write a dataset: image k of `ids` has 3 cells and the labels k and 16."""
    made = Dataset(
        folder / "images",
        folder / "masks",
        folder / "nuclei",
        folder / "labels.csv",
        folder / "cells.csv",
    )
    for path in (made.images, made.masks, made.nuclei):
        path.mkdir(parents=True)
    image_rows, cell_rows = [], []
    for seed, image_id in enumerate(ids):
        rng = np.random.default_rng(seed)
        for channel in CHANNELS:
            plane = rng.integers(0, 255, SHAPE_HW, np.uint8)
            Image.fromarray(plane).save(made.images / f"{image_id}_{channel}.png")
        label_image = label_image_of(seed)
        Image.fromarray(label_image).save(made.masks / f"{image_id}_mask.png")
        nuclei = np.zeros_like(label_image)
        nuclei[7:10] = label_image[7:10]
        Image.fromarray(nuclei).save(made.nuclei / f"{image_id}_mask.png")
        image_rows.append((image_id, f"16|{seed % 16}"))
        cell_rows += [(image_id, 1, "16"), (image_id, 3, f"{seed % 16}|16"), (image_id, 5, "18")]
    write_csv(made.labels, ("ID", "Label"), image_rows)
    write_csv(made.cell_labels, ("ID", "cell_id", "cell_labels"), cell_rows)
    return made


def write_csv(path: Path, header: tuple[str, ...], rows: list) -> None:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])


def options(**values: object) -> ConvertOptions:
    return ConvertOptions(**values)
