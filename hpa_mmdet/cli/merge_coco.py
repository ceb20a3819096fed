r"""Several COCO JSONs as one: the shards of a conversion, or several datasets.

Example:
    python tools/merge_coco.py work_dirs/train.shard-*.json --out work_dirs/train.json

Shards give the same bytes as one run of convert_coco.

Exit status: 0 all done; 1 done, but some images had failed to convert (listed in the joined
report); 2 bad arguments or input, nothing written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.coco.merge import merge
from hpa_mmdet.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        prog="merge_coco",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("json", type=Path, nargs="+", help="COCO JSONs of convert_coco; shards in any order")
    add("--out", type=Path, required=True, help="COCO JSON to write")
    add("--overwrite", action="store_true", help="replace --out if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say where the result is."""
    args = build_parser().parse_args(argv)
    try:
        report = merge(args.json, args.out, overwrite=args.overwrite)
    except InputError as error:
        print(f"merge_coco: {error}", file=sys.stderr)
        return 2
    print(report.summary())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
