"""Crowded images of real cells: each cell of a real layout is filled with a real cell's stains.

There are hand-corrected outlines of crowded cells without pixels, and pixels of cells that lie
apart. So the stains of a cell that lies apart are warped into each outline of a crowd: microtubules
and ER that fade towards the membrane, nuclei where real ones lie, light that spills over to
neighbours. Cells differ in brightness as the cells of one image do. Cells at the border may have
their nucleus outside; then they are drawn, but are not in the truth, since the HPA segmenter
leaves them out. The microscope is that of hpa_mmdet.synth.

Layouts and cells are each parted in two halves: `tune`, to look at and to choose numbers by, and
`keep`, to report. H, W: height and width of an image in pixels of PIXEL_UM.

    # draw and segment the images of $HPA_REAL_DATA; about two minutes a half
    python benchmarks/crowded_cells.py [--half keep] [--out FOLDER]
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from warped_cells import (
    LEAST_AREA_UM2,
    PIXEL_UM,
    SHRINK,
    RealCell,
    fill,
    largest,
    read_cells,
    widened,
)

from hpa_mmdet.io.label_images import find_masks, read_label_image
from hpa_mmdet.segment import WatershedSegmenter
from hpa_mmdet.segment.agreement import Agreement, compare_cells
from hpa_mmdet.synth.microscope import draw_optics, take_picture

HALVES = ("tune", "keep")
IOUS = (0.5, 0.6, 0.7, 0.8)
CROWDED = 0.35  # share of the cells' outlines that touches a neighbour
SEEN_NUCLEUS = 0.25  # share of a nucleus inside the picture below which it has none
WITHOUT_NUCLEUS = 0.04  # share of cells whose nucleus does not show


class CrowdedImage(NamedTuple):
    """One image: (H, W) planes by stain; (H, W) cells that have a nucleus, and nuclei."""

    name: str
    planes: dict[str, NDArray[np.uint8]]
    cells: NDArray[np.int32]
    nuclei: NDArray[np.int32]


def crowded_images(root: Path, half: str) -> Iterator[CrowdedImage]:
    """Draw the images of one half, always the same.

    Args:
        root: the folder of real data.
        half: one of HALVES.
    """
    place = HALVES.index(half)
    cells = read_cells(root)[place::2]
    for number, (name, layout) in enumerate(crowded_layouts(root)):
        if number % 2 == place:
            rng = np.random.default_rng([number, 41])
            yield draw_crowd(rng, name, layout, cells)


def crowded_layouts(root: Path) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """Read the masks, shrunk, whose cells touch along much of their outlines."""
    folders = root / "hpa_manual" / "truth", root / "hpa_contest" / "masks"
    with_pixels = {path.name[:8] for path in (root / "hpa_contest" / "train").glob("*_blue.png")}
    for folder in folders:
        for name, path in sorted(find_masks(folder).items()):
            if folder.name == "masks" and name[:8] in with_pixels:
                continue
            large = read_label_image(path).astype(np.int32)
            layout = np.ascontiguousarray(large[SHRINK // 2 :: SHRINK, SHRINK // 2 :: SHRINK])
            if share_in_contact(layout) >= CROWDED:
                yield name, layout


def share_in_contact(layout: NDArray[np.int32]) -> float:
    """Give the share of the cells' outlines that has a neighbour within 2 um."""
    reach = round(2 / PIXEL_UM)
    outline = near = 0
    for cell, box in enumerate(ndimage.find_objects(layout), start=1):
        if box is None:
            continue
        wide = widened(box, reach, layout.shape)
        own = layout[wide] == cell
        rim = own & ~ndimage.binary_erosion(own, border_value=1)
        others = (layout[wide] > 0) & ~own
        if others.any():
            near += int((rim & (ndimage.distance_transform_edt(~others) <= reach)).sum())
        outline += int(rim.sum())
    return near / max(outline, 1)


def draw_crowd(
    rng: np.random.Generator, name: str, layout: NDArray[np.int32], cells: Sequence[RealCell]
) -> CrowdedImage:
    """Draw one image.

    Args:
        rng: decides.
        name: of the image.
        layout: (H, W) label image.
        cells: what the layout's cells are filled with.
    """
    pad = round(12 / PIXEL_UM)
    height, width = layout.shape
    scene = np.zeros((3, height + 2 * pad, width + 2 * pad), np.float32)
    inside = (slice(pad, pad + height), slice(pad, pad + width))
    cut = int(rng.integers(0, pad))  # how far the cells go on beyond the border
    wide = np.pad(np.pad(layout, cut, mode="symmetric"), pad - cut)
    truth, nuclei = layout.copy(), np.zeros(wide.shape, np.int32)
    level = np.exp(rng.normal(np.log(110), 0.35, 3))
    spread = rng.uniform(0.2, 0.8)
    for cell, own in enumerate(ndimage.find_objects(wide), start=1):
        if own is None:
            continue
        box = widened(own, 4, wide.shape)
        mask = largest(wide[box] == cell)
        stains, nucleus = fill(rng, mask, cells)
        body = rng.normal(0, spread)  # a bright cell is bright in all stains of its body
        gain = np.exp(np.array([body, 0.6 * rng.normal(0, spread), body]))
        gain[[0, 2]] *= np.exp(rng.normal(0, 0.4 * spread, 2))
        if rng.random() < WITHOUT_NUCLEUS:
            gain[1], nucleus = 0.03 * gain[1], np.zeros_like(nucleus)
        scene[:, box[0], box[1]] += (level * gain).astype(np.float32)[:, None, None] * stains
        nuclei[box][nucleus] = cell
        if (nuclei[inside] == cell).sum() <= SEEN_NUCLEUS * nucleus.sum():
            truth[truth == cell] = 0
    area = np.bincount(truth.ravel()) * PIXEL_UM**2
    truth[(area < LEAST_AREA_UM2)[truth]] = 0
    red, blue, yellow = scene[:, inside[0], inside[1]]
    four = np.stack([red, np.zeros_like(red), blue, yellow])
    picture = take_picture(rng, four, PIXEL_UM, draw_optics(rng))
    planes = {"red": picture[..., 0], "blue": picture[..., 2], "yellow": picture[..., 3]}
    nuclei = np.where(np.isin(nuclei[inside], truth[truth > 0]), nuclei[inside], 0)
    return CrowdedImage(name, planes, truth, nuclei.astype(np.int32))


def score(root: Path, half: str, number: int | None, out: Path | None) -> None:
    """Segment the images of one half, each by itself, and print how well."""
    totals, nuclei, seconds, done = [Agreement()] * len(IOUS), Agreement(), 0.0, 0
    for image in islice(crowded_images(root, half), number):
        start = time.process_time()
        found = WatershedSegmenter()(image.planes)
        seconds += time.process_time() - start
        done += 1
        of_image = compare_cells(image.cells, found.cells, IOUS)
        totals = [total + new for total, new in zip(totals, of_image, strict=True)]
        nuclei += compare_cells(image.nuclei, found.nuclei, [0.5])[0]
        if out is not None:
            write(out, image)
    by_iou = ", ".join(f"{a.f1:.3f} at {iou}" for a, iou in zip(totals, IOUS, strict=True))
    print(
        f"{half}: {done} images, {totals[0].reference} cells, F1 {by_iou}; nuclei "
        f"{nuclei.f1:.3f} at 0.5; {seconds / max(done, 1):.2f} CPU s an image"
    )


def write(out: Path, image: CrowdedImage) -> None:
    """Write an image and its masks as tools/segment.py and bench_segment.py read them."""
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for stain, plane in image.planes.items():
        Image.fromarray(plane).save(out / "images" / f"{image.name}_{stain}.png")
    Image.fromarray(image.cells.astype(np.uint8)).save(out / "masks" / f"{image.name}_mask.png")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half", choices=HALVES, default="keep")
    parser.add_argument("--images", type=int, help="so many of them (default: all)")
    parser.add_argument("--out", type=Path, help="write the images and masks here too")
    args = parser.parse_args()
    folder = os.environ.get("HPA_REAL_DATA")
    if not folder:
        print("crowded_cells: HPA_REAL_DATA is not set: the folder of real data", file=sys.stderr)
        return 2
    score(Path(folder), args.half, args.images, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
