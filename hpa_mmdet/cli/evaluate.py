r"""Score a submission against per-cell truth with the contest's metric.

Example:
    python tools/evaluate.py work_dirs/demo/submission.csv work_dirs/demo/truth.json \
        --json work_dirs/demo/scores.json

The truth is a COCO JSON with each cell's own set (tools/convert_coco.py --cell-labels).

Exit status: 0 all done; 2 bad arguments or input, nothing written.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.submission import read_submission
from hpa_mmdet.scoring.contest import score_submission
from hpa_mmdet.scoring.report import contest_report
from hpa_mmdet.scoring.tables import contest_lines, contest_table
from hpa_mmdet.scoring.truth import read_truth


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("submission", type=Path, help="CSV: ID,ImageWidth,ImageHeight,PredictionString")
    add("truth", type=Path, help="COCO JSON with the true set of each cell")
    add("--json", type=Path, help="write the scores here")
    add("--iou", type=float, default=0.6, help="least mask IoU of a true detection (default 0.6)")
    add("--tie-orders", type=int, default=20, help="random orders of equal confidences to try")
    add("--seed", type=int, default=0, help="of those orders (default 0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say where the result is."""
    args = build_parser().parse_args(argv)
    try:
        result = score_submission(
            read_submission(args.submission),
            read_truth(args.truth),
            iou_threshold=args.iou,
            tie_orders=args.tie_orders,
            seed=args.seed,
        )
    except InputError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    report = contest_report(result, args.iou)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(contest_table(report))
    for line in contest_lines(report):
        print(line)
    print(f"contest_map {report['contest_map']}")
    if args.json:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
        print(f"evaluate: wrote {args.json}")
    return 0
