r"""COCO JSON to a contest submission: every cell with every label it has.

Made from inherited image labels this is the baseline to beat; made from true sets it is
the truth as a submission.

Example:
    python tools/coco_to_submission.py work_dirs/train.json --out work_dirs/baseline.csv \
        --confidence share

Exit status: 0 done; 2 bad arguments or input, nothing written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.coco.to_submission import convert_to_submission
from hpa_mmdet.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        prog="coco_to_submission",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("json", type=Path, help="COCO JSON made by convert_coco")
    add("--out", type=Path, required=True, help="submission CSV to write")
    add(
        "--confidence",
        choices=["one", "share"],
        default="one",
        help="1, or 1 / number of the cell's labels (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace --out if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say where the result is."""
    args = build_parser().parse_args(argv)
    try:
        if args.out.exists() and not args.overwrite:
            raise InputError(args.out, "an older file", "a new path", "give --overwrite")
        count = convert_to_submission(args.json, args.out, args.confidence)
    except InputError as error:
        print(f"coco_to_submission: {error}", file=sys.stderr)
        return 2
    print(f"coco_to_submission: {count} images in {args.out}")
    return 0
