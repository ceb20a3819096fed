"""Compare two folders of label images of the same images, cell by cell.

Example:
    python tools/compare_masks.py work_dirs/masks data/reference_masks --json agreement.json

Prints, at each IoU, the cells of the reference that are matched, missed and split, and the
cells of MASKS that are extra and merge several. Images in one folder only are named.

Exit status: 0 all done; 1 some images failed or stand in one folder only (listed); 2 bad
arguments or input, or no image in both.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import scan_masks
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.segment.agreement import Agreement, compare_files


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("compare_masks", __doc__)
    add = parser.add_argument
    add("masks", type=Path, help="folder of label images")
    add("reference", type=Path, help="folder of label images that they are held against")
    add("--iou", type=float, nargs="+", default=[0.5, 0.6, 0.75], help="(default: 0.5 0.6 0.75)")
    add("--json", type=Path, help="write the counts of all and of each image here")
    add("--overwrite", action="store_true", help="replace an older --json")
    return parser


def run(args: argparse.Namespace) -> int:
    """Compare image by image, print the sums."""
    if not all(0 < iou <= 1 for iou in args.iou):
        raise InputError("--iou", args.iou, "above 0 and at most 1", "correct it")
    outputs = OutputFiles(
        "compare_masks", inputs=[args.masks, args.reference], overwrite=args.overwrite
    )
    if args.json:
        outputs.claim(args.json)
    found = {folder: scan_masks(folder) for folder in (args.masks, args.reference)}
    masks, reference = found[args.masks].paths, found[args.reference].paths
    per_image: dict[str, list[Agreement]] = {}
    failures = [
        f"failed {image_id}: {problem}"
        for folder in found.values()
        for image_id, problem in folder.problems.items()
    ]
    for image_id in sorted(set(masks) & set(reference)):
        try:
            per_image[image_id] = compare_files(reference[image_id], masks[image_id], args.iou)
        except InputError as error:
            failures.append(f"failed {image_id}: {error}")
    failures += [
        f"only in {args.masks}: {image_id}" for image_id in sorted(set(masks) - set(reference))
    ]
    failures += [
        f"only in {args.reference}: {image_id}" for image_id in sorted(set(reference) - set(masks))
    ]
    print("\n".join(failures), end="\n" if failures else "", file=sys.stderr)
    if not per_image:
        print("compare_masks: no image in both folders could be compared", file=sys.stderr)
        return 2
    sums = [sum(at_iou, Agreement()) for at_iou in zip(*per_image.values(), strict=True)]
    if args.json:
        content = {
            "images": len(per_image),
            "all": [_plain(iou, total) for iou, total in zip(args.iou, sums, strict=True)],
            "per_image": {
                image_id: [_plain(iou, count) for iou, count in zip(args.iou, counts, strict=True)]
                for image_id, counts in per_image.items()
            },
        }
        with outputs.writing(args.json) as temporary:
            temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    _print(args.iou, sums, len(per_image))
    return 1 if failures else 0


main = partial(run_tool, build_parser, run)


_COLUMNS = ("reference", "predicted", "matched", "missed", "extra", "split", "merged")


def _plain(iou: float, found: Agreement) -> dict[str, float]:
    return {"iou": iou, **{name: getattr(found, name) for name in _COLUMNS}, "f1": found.f1}


def _print(ious: Sequence[float], sums: Sequence[Agreement], images: int) -> None:
    table = Table(title=f"Cells of {images} images", title_justify="left")
    for name in ("IoU", "ref.", "masks", *_COLUMNS[2:], "F1"):
        table.add_column(name, justify="right")
    for iou, found in zip(ious, sums, strict=True):
        counts = [str(getattr(found, name)) for name in _COLUMNS]
        table.add_row(f"{iou:g}", *counts, f"{found.f1:.3f}")
    Console().print(table)
