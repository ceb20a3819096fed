r"""Average several predictions of the same images into one submission.

Cells are matched by the overlap of their masks, scores are averaged by weights (a source
without a cell counts as 0 for it), masks are voted on.

Example:
    python tools/ensemble.py work_dirs/a/submission.csv work_dirs/b --weights 2 1 \
        --out work_dirs/ensemble.csv

Exit status: 0 written; 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.inference.ensemble import ensemble
from hpa_mmdet.inference.merge import MATCH_IOU
from hpa_mmdet.io.outputs import claim_output
from hpa_mmdet.io.submission import write_submission
from hpa_mmdet.predictions.call_rules import check_probability
from hpa_mmdet.predictions.submission_rows import DEFAULT_MIN_CONFIDENCE, row_of_prediction


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("ensemble", __doc__)
    add = parser.add_argument
    add("sources", type=Path, nargs="+", help="submissions, or --out folders of tools/infer.py")
    add("--out", type=Path, required=True, help="submission CSV to write")
    add("--weights", type=float, nargs="+", metavar="W", help="one per source (default: equal)")
    add("--iou", type=float, default=MATCH_IOU, help=f"overlap of one cell (default: {MATCH_IOU})")
    add(
        "--min-confidence",
        type=float,
        default=DEFAULT_MIN_CONFIDENCE,
        metavar="P",
        help="leave less confident triples out (default: %(default)s)",
    )
    add("--overwrite", action="store_true", help="replace --out if this tool wrote it")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    check_probability(args.min_confidence, "--min-confidence")
    check_probability(args.iou, "--iou")
    files = claim_output(args.out, "ensemble", inputs=args.sources, overwrite=args.overwrite)
    merged = ensemble(args.sources, args.weights, args.iou)
    rows = (row_of_prediction(image, args.min_confidence) for image in merged)
    with files.writing(args.out) as temporary:
        count = write_submission(temporary, rows)
    print(f"ensemble: {count} images of {len(args.sources)} sources in {args.out}")
    return 0


main = partial(run_tool, build_parser, run)
