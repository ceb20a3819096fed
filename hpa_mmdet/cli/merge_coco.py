r"""Merge several COCO JSON files: the shards of a conversion, or several data sets.

Example:
    python tools/merge_coco.py work_dirs/train.shard-*.json --out work_dirs/train.json

Shards give the same bytes as one run of convert_coco.

Exit status: 0 all done; 1 done, but some images had failed to convert (listed in the joined
report); 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.coco.merge import merge


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("merge_coco", __doc__)
    add = parser.add_argument
    add("json", type=Path, nargs="+", help="COCO JSONs of convert_coco; shards in any order")
    add("--out", type=Path, required=True, help="COCO JSON to write")
    add("--overwrite", action="store_true", help="replace --out if it exists")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    report = merge(args.json, args.out, overwrite=args.overwrite)
    print(report.summary())
    return 1 if report.failures else 0


main = partial(run_tool, build_parser, run)
