r"""Split a COCO JSON into training and validation files or folds, stratified and grouped.

Example:
    python tools/split_coco.py work_dirs/train.json --val-share 0.2 \
        --groups images.csv antibody

Exit status: 0 all done; 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import add_groups, new_parser, run_tool
from hpa_mmdet.coco.split import split


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("split_coco", __doc__)
    add = parser.add_argument
    add("json", type=Path, help="COCO JSON of convert_coco or merge_coco")
    add("--val-share", type=float, default=0.2, help="of the images (default: %(default)s)")
    add("--folds", type=int, metavar="K", help="K folds instead, each validated once")
    add_groups(parser, "images of one value stay together")
    add("--seed", type=int, default=0, help="(default: %(default)s)")
    add("--overwrite", action="store_true", help="replace older files")
    return parser


def run(args: argparse.Namespace) -> int:
    """Call the package, say what came out."""
    report = split(
        args.json,
        val_share=args.val_share,
        folds=args.folds,
        grouping=args.groups,
        seed=args.seed,
        overwrite=args.overwrite,
    )
    print(report.summary())
    return 0


main = partial(run_tool, build_parser, run)
