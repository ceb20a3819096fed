r"""How well the default segmenter does, and how fast the HPA networks' output is labelled.

    # whole cells: <id>_<channel>.png and <id>_mask.png; F1 at IoU 0.6
    python benchmarks/bench_segment.py IMAGES MASKS
    # nuclei of DNA-only pictures: F1 at IoU 0.5
    python benchmarks/bench_segment.py IMAGES MASKS --nuclei --pattern '{id}.png'
    # all of it on the real data in $HPA_REAL_DATA: each set with one size of nuclei for its
    # folder, as tools/segment.py has it, and with one for each image; then harder variants
    # of its DNA stains (segment_variants.py), --variants 0 for none
    python benchmarks/bench_segment.py [--variants 8]
    # label_cells against the package's label_cell, 2048x2048, 30 cells, in one run
    python benchmarks/bench_segment.py --labelling [--package FOLDER_OF_HPACELLSEG]

Where no file fits --pattern, `<id>.png`, `<id>.jpg` and `<id>.tif` are tried, as DNA-only
pictures. Images without a mask and masks without an image are counted and left out.
"""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ideal_cells import crowd, ideal_prediction
from segment_variants import NUCLEI_SETS, given_pictures, score_variants

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import DEFAULT_PATTERN, ImageFiles, find_images, read_channels
from hpa_mmdet.io.label_images import find_masks, read_label_image
from hpa_mmdet.segment import WatershedSegmenter
from hpa_mmdet.segment.agreement import Agreement, compare_cells
from hpa_mmdet.segment.compare import count_matches, overlaps
from hpa_mmdet.segment.folder_scale import measure_folder, with_scale
from hpa_mmdet.segment.labelling import label_cells

CELL_CHANNELS = ("red", "blue", "yellow")
OTHER_PATTERNS = ("{id}.png", "{id}.jpg", "{id}.tif")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("masks", type=Path, nargs="?", help="reference label images")
    parser.add_argument("--nuclei", action="store_true", help="the masks are of nuclei")
    parser.add_argument("--channels", nargs="+", help="as in tools/segment.py")
    parser.add_argument("--pattern", default=DEFAULT_PATTERN)
    parser.add_argument("--iou", type=float, help="(default: 0.5 for nuclei, 0.6 for cells)")
    parser.add_argument(
        "--variants",
        type=int,
        help="so many of the DNA stains, spread over them, are made harder (default: all)",
    )
    parser.add_argument("--labelling", action="store_true")
    parser.add_argument("--package", type=Path, help="folder that holds the package hpacellseg")
    args = parser.parse_args()
    try:
        if args.labelling:
            time_labelling(args.package)
        elif args.masks is not None:
            images, nuclei = images_of(args.images, args.channels, args.pattern, args.nuclei)
            score(str(args.images), images, args.masks, nuclei, args.iou)
        else:
            score_real_data(args.variants)
    except InputError as error:
        print(f"bench_segment: {error}", file=sys.stderr)
        return 2
    return 0


def images_of(
    folder: Path, channels: list[str] | None, pattern: str, nuclei: bool
) -> tuple[list[ImageFiles], bool]:
    """List the images, and tell whether they are DNA-only."""
    wanted = tuple(channels or (("blue",) if nuclei else CELL_CHANNELS))
    try:
        return find_images(folder, wanted, pattern), nuclei or wanted == ("blue",)
    except InputError:
        for other in OTHER_PATTERNS if pattern == DEFAULT_PATTERN and folder.is_dir() else ():
            if any(folder.glob(other.replace("{id}", "*"))):
                return find_images(folder, ("blue",), other), True
        raise


def score(
    name: str, images: list[ImageFiles], masks: Path, nuclei: bool, iou: float | None = None
) -> Agreement:
    """Segment, compare with the reference, print; with the folder's scale and without."""
    own = WatershedSegmenter(nuclei_only=nuclei)
    scale = measure_folder(images, tuple(images[0].paths), own)
    if scale is None:
        return _score(f"{name}, each image's scale", images, masks, own, iou)
    _score(f"{name}, each image's scale", images, masks, own, iou)
    together = with_scale(own, scale.diameter)
    return _score(f"{name}, scale of {scale.diameter:.0f} px", images, masks, together, iou)


def _score(
    name: str, images: list[ImageFiles], masks: Path, segmenter: Any, iou: float | None
) -> Agreement:
    nuclei = segmenter.nuclei_only
    iou = iou or (0.5 if nuclei else 0.6)
    references = find_masks(masks)
    total, seconds, done, worst = Agreement(), 0.0, 0, 1.0
    for image in images:
        if image.image_id not in references:
            continue
        channels = tuple(image.paths)
        stack = read_channels(image, channels)
        planes = {channel: stack[..., at] for at, channel in enumerate(channels)}
        start = time.process_time()
        found = segmenter(planes)
        seconds += time.process_time() - start
        reference = read_label_image(references[image.image_id])
        agreement = compare_cells(reference, found.cells, [iou])[0]
        total += agreement
        worst = min(worst, agreement.f1)
        done += 1
    print(
        f"{name}: {'nuclei' if nuclei else 'cells'} F1 {total.f1:.3f} at IoU {iou:g} "
        f"({total.matched} matched, {total.missed} missed, {total.extra} false; {total.split} "
        f"split, {total.merged} merged), {done} images, the worst {worst:.3f}, "
        f"{seconds / max(done, 1):.2f} CPU s an image"
    )
    left_out = len(images) - done, len(references) - done
    if any(left_out):
        print(f"  left out: {left_out[0]} images without mask, {left_out[1]} masks without image")
    return total


def score_real_data(variants: int | None) -> None:
    """Score the sets of hand-drawn nuclei, the contest's images, and variants."""
    folder = os.environ.get("HPA_REAL_DATA")
    if not folder:
        raise InputError("HPA_REAL_DATA", "not set", "the folder of real data", "give IMAGES MASKS")
    root = Path(folder)
    for name in NUCLEI_SETS:
        images = find_images(root / "coelho2009" / name / "images", ("blue",), "{id}.png")
        score(name, images, root / "coelho2009" / name / "labels", nuclei=True)
    images = find_images(root / "hpa_contest" / "train", CELL_CHANNELS)
    score("hpa_contest", images, root / "hpa_contest" / "masks", nuclei=False)
    pictures = list(given_pictures(root))
    count = len(pictures) if variants is None else min(variants, len(pictures))
    if count:
        places = np.linspace(0, len(pictures) - 1, count).round().astype(int)
        score_variants([pictures[at] for at in places])


def time_labelling(package: Path | None) -> None:
    """Label one prediction with ours and with theirs, CPU seconds, best of three of ours."""
    nuclei, cells = crowd(30, (2048, 2048), seed=0)
    predictions = ideal_prediction(nuclei, 9), ideal_prediction(cells, 25)
    ours, result = timed(lambda: label_cells(*predictions, step=4), 3)
    report("ours", ours, cells, result.cells)
    if package is not None:
        sys.path.insert(0, str(package))
    try:
        from hpacellseg.utils import label_cell
    except ImportError as error:
        print(f"package: not importable ({error}); against ours on all pixels instead")
        theirs, labelled = timed(lambda: label_cells(*predictions), 1)
        report("stand-in", theirs, cells, labelled.cells)
    else:
        warnings.simplefilter("ignore")  # it uses names that scikit-image deprecates
        theirs, (_, labelled) = timed(lambda: label_cell(*(p.copy() for p in predictions)), 1)
        report("package", theirs, cells, labelled)
    print(f"ratio: {theirs / ours:.1f} times as fast")


def timed(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Give the least CPU time of the repeats, and the result."""
    least, result = float("inf"), None
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        least = min(least, time.process_time() - start)
    return least, result


def report(name: str, seconds: float, truth: Any, found: Any) -> None:
    """Print the time and how many cells have an IoU of 0.9."""
    met = overlaps(truth, np.asarray(found).astype(np.int64))
    good = count_matches(met, 0.9)
    print(f"{name}: {seconds:.3f} CPU s, {good} of {len(met.reference_ids)} cells at IoU 0.9")


if __name__ == "__main__":
    sys.exit(main())
