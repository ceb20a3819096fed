r"""Write a COCO JSON as a contest submission: every cell with every label it has.

Made from inherited image labels this is the baseline to beat; made from true sets it is
the truth as a submission.

Example:
    python tools/coco_to_submission.py work_dirs/train.json --out work_dirs/baseline.csv \
        --confidence share

Exit status: 0 done; 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.coco.to_submission import convert_to_submission
from hpa_mmdet.io.outputs import claim_output


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("coco_to_submission", __doc__)
    add = parser.add_argument
    add("json", type=Path, help="COCO JSON made by convert_coco")
    add("--out", type=Path, required=True, help="submission CSV to write")
    add(
        "--confidence",
        choices=["one", "share"],
        default="one",
        help="1, or 1 / number of the cell's labels (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace --out if this tool wrote it")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    outputs = claim_output(
        args.out, "coco_to_submission", inputs=[args.json], overwrite=args.overwrite
    )
    with outputs.writing(args.out) as temporary:
        count = convert_to_submission(args.json, temporary, args.confidence)
    print(f"coco_to_submission: {count} images in {args.out}")
    return 0


main = partial(run_tool, build_parser, run)
