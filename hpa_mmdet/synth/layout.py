"""Semi-real data: stains drawn into real cell outlines, with real label sets.

A layout folder holds `truth/<id>_mask.png` (label images of whole cells), `images.csv`
(ID,Label,antibody) and `cells.csv` (ID,cell_id,cell_labels). Train and test share no
antibody. First every image is drawn once as it is; more come from drawing one image's
label sets into another's outlines, both of the same half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import write_csv
from hpa_mmdet.io.label_images import find_masks, read_label_image
from hpa_mmdet.io.label_tables import read_cell_labels, read_column, read_image_labels
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.synth.cell_line import draw_cell_line
from hpa_mmdet.synth.dataset import SPLITS, SyntheticItem, make_image_id
from hpa_mmdet.synth.image import SyntheticImage, render_cells
from hpa_mmdet.synth.invented_nuclei import invent_nuclei
from hpa_mmdet.synth.shares import LocalizationSet

HPA_PIXEL_UM = 0.08  # of the pictures that the layout's masks belong to
MIN_CELL_PX = 60  # after scaling; smaller cells cannot be drawn


@dataclass(frozen=True)
class LayoutImage:
    """One real image without its pixels.

    Args:
        image_id: its name in the layout's tables.
        mask: file of its cells.
        image_labels: its labels.
        cell_sets: what each of its cells shows, by the value in the mask.
        antibody: what it was stained with.
    """

    image_id: str
    mask: Path
    image_labels: LocalizationSet
    cell_sets: Mapping[int, LocalizationSet]
    antibody: str


@dataclass(frozen=True)
class LayoutItem(SyntheticItem):
    """One image to draw: the labels of one real image in the outlines of one."""

    labels: LayoutImage
    outlines: LayoutImage


def read_layout(folder: Path) -> list[LayoutImage]:
    """Read a layout folder.

    Raises:
        InputError: a table or mask is missing, an image has no labels of its cells, or the
            table of images has no column antibody.
    """
    masks = find_masks(folder / "truth")
    image_labels = read_image_labels(folder / "images.csv")
    cell_labels = read_cell_labels(folder / "cells.csv")
    antibodies = read_column(folder / "images.csv", "antibody")
    images = []
    for image_id, labels in image_labels.items():
        if image_id not in masks or image_id not in cell_labels:
            lacks = "mask in truth/" if image_id not in masks else "row in cells.csv"
            raise InputError(
                folder, f"image {image_id} without a {lacks}", "both", "complete the folder"
            )
        sets = {cell: frozenset(shown) for cell, shown in cell_labels[image_id].items()}
        images.append(
            LayoutImage(image_id, masks[image_id], frozenset(labels), sets, antibodies[image_id])
        )
    return images


def split_by_antibody(
    images: Sequence[LayoutImage], seed: int
) -> tuple[list[LayoutImage], list[LayoutImage]]:
    """Part images in two halves that share no antibody and, where they can, every label.

    Antibodies of the rarest labels are dealt out first, each to the half that has fewer
    images of that label.
    """
    rng = np.random.default_rng([seed, 17])
    stained: dict[str, list[LayoutImage]] = {}
    for image in images:
        stained.setdefault(image.antibody, []).append(image)
    order = sorted(stained)
    rng.shuffle(order)
    counts = np.zeros((2, NUM_LOCALIZATIONS + 1))  # the last column counts images
    half: dict[str, int] = {}
    having = {
        label: [
            name for name in order if any(label in image.image_labels for image in stained[name])
        ]
        for label in range(NUM_LOCALIZATIONS)
    }
    for label in sorted(having, key=lambda label: len(having[label])):
        for name in having[label]:
            if name in half:
                continue
            fewer = 0 if tuple(counts[0, [label, -1]]) <= tuple(counts[1, [label, -1]]) else 1
            half[name] = fewer
            for image in stained[name]:
                counts[fewer, [*image.image_labels, -1]] += 1
    train = [image for image in images if half[image.antibody] == 0]
    return train, [image for image in images if half[image.antibody] == 1]


def plan_layout_items(
    images: Sequence[LayoutImage], seed: int, number: int, test_number: int
) -> list[LayoutItem]:
    """List what to draw; see the module for how images are paired.

    Raises:
        InputError: a split is asked for that no antibody is left for.
    """
    items = []
    halves = split_by_antibody(images, seed)
    for place, (split, count) in enumerate(zip(SPLITS, (number, test_number), strict=True)):
        rng = np.random.default_rng([seed, place, 23])
        pool = halves[place]
        if count and not pool:
            raise InputError(
                "layout", "one antibody", "two or more, to part train and test", "add images"
            )
        for index in range(count):
            labels = outlines = pool[index % len(pool)]
            if index >= len(pool):
                outlines = pool[int(rng.integers(len(pool)))]
            name = make_image_id(seed, place, index)
            items.append(LayoutItem(split, index, name, labels, outlines))
    return items


def render_layout_item(item: LayoutItem, seed: int, shape_hw: tuple[int, int]) -> SyntheticImage:
    """Draw one image of a layout; it depends on the item and the seed alone.

    Args:
        item: what to draw.
        seed: of the data set.
        shape_hw: the largest size; the mask is scaled to fit into it, its aspect kept.

    Raises:
        InputError: the mask cannot be read or has a cell without labels.
    """
    rng = np.random.default_rng([seed, SPLITS.index(item.split), item.index, 5])
    cells, scale = _read_scaled(item.outlines.mask, shape_hw)
    localizations = _deal_sets(rng, item, cells)
    pixel_um = HPA_PIXEL_UM / scale
    nuclei = invent_nuclei(rng, cells, localizations, pixel_um)
    line = draw_cell_line(rng)
    channels = render_cells(rng, cells, nuclei, localizations, pixel_um, line)
    return SyntheticImage(channels, cells, nuclei, localizations, item.labels.image_labels)


def write_groups(path: Path, items: Sequence[LayoutItem]) -> None:
    """Write which antibody each training image has, so that folds can keep them together."""
    rows = [
        (item.image_id, item.labels.antibody, item.labels.image_id, item.outlines.image_id)
        for item in items
        if item.split == "train"
    ]
    write_csv(path, ("ID", "antibody", "labels_of", "outlines_of"), rows)


def _read_scaled(path: Path, shape_hw: tuple[int, int]) -> tuple[NDArray[np.uint16], float]:
    """Read a mask and scale it; cells that become too small to draw are left out."""
    mask = read_label_image(path).astype(np.uint16)
    scale = min(shape_hw[0] / mask.shape[0], shape_hw[1] / mask.shape[1])
    size_wh = (max(round(mask.shape[1] * scale), 1), max(round(mask.shape[0] * scale), 1))
    small = cv2.resize(mask, size_wh, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint16)
    area = np.bincount(small.ravel())
    small[(area < MIN_CELL_PX)[small]] = 0
    return small, scale


def _deal_sets(
    rng: np.random.Generator, item: LayoutItem, cells: NDArray[np.uint16]
) -> dict[int, LocalizationSet]:
    """Say what each cell shows: its own set, or sets of another image's cells by chance."""
    ids = np.unique(cells[cells > 0]).tolist()
    if item.labels is item.outlines or item.labels.image_id == item.outlines.image_id:
        sets = item.labels.cell_sets
        if missing := [cell for cell in ids if cell not in sets]:
            raise InputError(
                item.outlines.mask,
                f"no row for cell {missing[0]} in cells.csv",
                "one row for each cell",
                "add it, or erase the cell",
            )
        return {cell: sets[cell] for cell in ids}
    deck = [item.labels.cell_sets[cell] for cell in sorted(item.labels.cell_sets)]
    order = [rng.permutation(len(deck)) for _ in range(-(-len(ids) // len(deck)))]
    drawn = np.concatenate(order)[: len(ids)] if order else np.zeros(0, int)
    return {cell: deck[which] for cell, which in zip(ids, drawn.tolist(), strict=True)}
