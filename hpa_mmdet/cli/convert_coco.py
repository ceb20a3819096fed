r"""Cell masks and image labels to COCO JSON: one annotation per cell, RLE masks.

Example:
    python tools/convert_coco.py data/train --masks work_dirs/masks \
        --labels data/train.csv --out work_dirs/train.json

IMAGES may be left out: sizes then come from the masks. The report is written beside --out.

Exit status: 0 all done; 1 done, but some images failed (listed in the report); 2 bad
arguments or input, nothing written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        prog="convert_coco",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("images", type=Path, nargs="?", help="folder of channel files (default: masks only)")
    add("--masks", type=Path, required=True, help="folder of label images, one per id")
    add("--labels", type=Path, help="CSV of image labels, columns ID,Label or Id,Target")
    add("--cell-labels", type=Path, help="CSV of true sets, columns ID,cell_id,cell_labels")
    add("--out", type=Path, required=True, help="COCO JSON to write")
    add("--pattern", default=DEFAULT_PATTERN, help="name of a channel file (default: %(default)s)")
    add("--channels", nargs="+", default=list(CHANNELS), help="channels each image has")
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace --out if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say where the result is."""
    args = build_parser().parse_args(argv)
    try:
        report = convert(**vars(args))
    except InputError as error:
        print(f"convert_coco: {error}", file=sys.stderr)
        return 2
    print(report.summary())
    return report.exit_status
