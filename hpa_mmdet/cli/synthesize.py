"""Draw a synthetic data set: 4-channel images of cells in the contest's layout, with truth.

Example:
    python tools/synthesize.py work_dirs/demo/data --images 400 --test-images 160

Writes OUT/train, OUT/train.csv, OUT/test, OUT/sample_submission.csv and, for scoring alone,
OUT/truth. The same seed gives the same bytes for any number of workers.

Exit status: 0 all done; 1 some images failed (listed); 2 bad arguments or input, nothing
written.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.errors import InputError
from hpa_mmdet.jobs import Report
from hpa_mmdet.synth.dataset import SPLITS, plan_items, render_item, write_dataset
from hpa_mmdet.synth.shares import LabelModel


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        prog="synthesize",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("out", type=Path, help="folder to write to")
    add("--images", type=int, default=400, help="training images (default 400)")
    add("--test-images", type=int, default=160, help="test images (default 160)")
    add("--size", type=int, nargs=2, default=(640, 640), metavar=("H", "W"), help="in pixels")
    add("--pixel-um", type=float, default=0.25, help="pixel side in um; HPA's own is 0.08")
    add("--seed", type=int, default=0, help="the same seed gives the same bytes")
    add("--workers", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    add("--share", type=float, help="share of cells that show each image label, for all classes")
    add("--overwrite", action="store_true", help="write into a folder that is not empty")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say where the result is."""
    args = build_parser().parse_args(argv)
    report = Report("synthesize")
    try:
        labels = LabelModel(share=args.share)
        if args.out.is_dir() and any(args.out.iterdir()) and not args.overwrite:
            raise InputError(args.out, "files", "an empty folder", "remove it or say --overwrite")
        render = partial(
            render_item,
            seed=args.seed,
            shape_hw=tuple(args.size),
            pixel_um=args.pixel_um,
            labels=labels,
        )
        items = plan_items(args.seed, args.images, args.test_images)
        command = shlex.join(["synthesize", *map(str, sys.argv[1:] if argv is None else argv)])
        write_dataset(args.out, items, render, report, args.workers, command)
        for split in SPLITS:
            _compose_truth_json(args.out, split, args.workers)
    except InputError as error:
        print(f"synthesize: {error}", file=sys.stderr)
        return 2
    print(report.summary())
    print(f"synthetic images in {args.out}")
    return report.exit_status


def _compose_truth_json(out: Path, split: str, workers: int) -> None:
    truth = out / "truth" / split
    if not (truth / "masks").is_dir():
        return
    sources = Sources(
        truth / "masks", truth / "images.csv", out / split, cell_labels=truth / "cells.csv"
    )
    convert(sources, truth / "cells.json", workers=workers, overwrite=True)


if __name__ == "__main__":
    sys.exit(main())
