r"""Score a submission against the true labels of each cell.

Example:
    python tools/evaluate.py work_dirs/demo/submission.csv work_dirs/demo/truth.json \
        --json work_dirs/demo/scores.json --html work_dirs/demo/scores.html

The truth is a COCO JSON with each cell's own set (tools/convert_coco.py --cell-labels).
Images that are in only one of the two files are listed; those missing from the submission
count as not found.

Exit status: 0 all done; 2 bad arguments or input, nothing written.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import dump_json
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.io.submission import read_submission
from hpa_mmdet.scoring import tables
from hpa_mmdet.scoring.files import ScoringOptions, read_found_cells, score_rows
from hpa_mmdet.scoring.images import CELL_POOLINGS
from hpa_mmdet.scoring.marks import compute_marks
from hpa_mmdet.scoring.page import build_page
from hpa_mmdet.scoring.report import full_report
from hpa_mmdet.scoring.truth import read_truth


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("evaluate", __doc__)
    add = parser.add_argument
    add("submission", type=Path, help="CSV: ID,ImageWidth,ImageHeight,PredictionString")
    add("truth", type=Path, help="COCO JSON with the true set of each cell")
    add("--json", type=Path, help="write the scores here; top key contest_map")
    add("--html", type=Path, help="write a page with tables and plots here")
    add("--cells", type=Path, help="COCO results JSON with the model's own score of each cell")
    add("--marks", action="store_true", help="also score guesses that know a given amount")
    add("--iou", type=float, default=0.6, help="least mask IoU (default: %(default)s)")
    add(
        "--pooling", choices=CELL_POOLINGS, default="max", help="of an image's cells (default: max)"
    )
    add("--tie-orders", type=int, default=20, help="random orders of ties (default: %(default)s)")
    add("--resamples", type=int, default=200, help="for the ranges (default: %(default)s)")
    add("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace --json and --html of an earlier run")
    return parser


def run(args: argparse.Namespace) -> int:
    """Score, write, and only then print: a reader of the output may leave early."""
    outputs = OutputFiles(
        "evaluate", inputs=[args.submission, args.truth, args.cells], overwrite=args.overwrite
    )
    written = [path for path in (args.json, args.html) if path is not None]
    for path in written:
        outputs.claim(path)
    report = _score(args)
    if args.json:
        with outputs.writing(args.json) as temporary:
            temporary.write_text(dump_json(report), encoding="utf-8")
    if args.html:
        page = build_page(report, f"Scores of {args.submission.name}", str(args.truth))
        with outputs.writing(args.html) as temporary:
            page.write(temporary)
    _show(report)
    for path in written:
        print(f"evaluate: wrote {path}")
    print(f"contest_map {report['contest_map']}")
    return 0


main = partial(run_tool, build_parser, run)


def _score(args: argparse.Namespace) -> dict[str, Any]:
    if not 0.0 < args.iou <= 1.0:
        raise InputError("--iou", args.iou, "more than 0, at most 1", "the contest uses 0.6")
    truth = read_truth(args.truth)
    reviewed = sum(image.reviewed for image in truth.values())
    cells = sum(len(image.rles) for image in truth.values())
    if 0 < reviewed < cells:
        print(
            f"evaluate: {reviewed:,} of {cells:,} cells of {args.truth} are reviewed; the others "
            "count as showing all labels of their image",
            file=sys.stderr,
        )
    options = ScoringOptions(args.iou, args.tie_orders, args.pooling, args.resamples, args.seed)
    found = read_found_cells(args.cells, truth) if args.cells else None
    scores = score_rows(read_submission(args.submission), truth, options, found)
    marks = None
    if args.marks:
        marks = compute_marks(
            truth.values(), iou_threshold=args.iou, tie_orders=args.tie_orders, seed=args.seed
        )
    return full_report(scores, args.iou, marks)


def _show(report: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, soft_wrap=True)
    console.print(tables.contest_table(report))
    for line in tables.contest_lines(report):
        print(line)
    if "marks" in report:
        console.print(tables.marks_table(report))
    console.print(tables.detection_table(report))
    for line in tables.naming_lines(report):
        print(line)
