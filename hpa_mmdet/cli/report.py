r"""Write a page about a training run: curves, predicted and true cells, scores, versions.

Example:
    python tools/report.py work_dirs/demo/train --images work_dirs/demo/data/test \
        --truth work_dirs/demo/data/truth/test/cells.json \
        --submission work_dirs/demo/submission.csv \
        --evaluation work_dirs/demo/scores.json --out work_dirs/demo/report.html

A part whose files are absent is named on the page and left out.

Exit status: 0 all parts shown; 1 written, but some parts are absent; 2 bad arguments or
input, nothing written.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import read_json_object
from hpa_mmdet.io.outputs import claim_output
from hpa_mmdet.reports.run_report import RunFiles, build_report


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("report", __doc__)
    add = parser.add_argument
    add("work_dir", type=Path, help="work folder of the training")
    add("--images", type=Path, help="folder of the images (default: the truth's images_root)")
    add("--truth", type=Path, help="COCO JSON with each cell's own label set")
    add("--submission", type=Path, help="CSV of tools/infer.py")
    add("--evaluation", type=Path, help="JSON of tools/evaluate.py")
    add(
        "--mark",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="another evaluation of the same images to stand beside; may be repeated",
    )
    add("--facts", type=Path, help="JSON of names and values to list, such as times")
    add("--title", default="hpa-mmdet run", help="heading of the page")
    add("--limit", type=int, default=4, help="how many images to show (default 4)")
    add("--out", type=Path, required=True, help="HTML file to write")
    add("--overwrite", action="store_true", help="replace --out if this tool wrote it")
    return parser


def run(args: argparse.Namespace) -> int:
    """Put the page together, say where it is and what is absent."""
    if not args.work_dir.is_dir():
        raise InputError(args.work_dir, "no folder", "a work folder", "check the path")
    marks = dict(_parse_mark(text) for text in args.mark)
    inputs = [args.work_dir, args.images, args.truth, args.submission, args.evaluation, args.facts]
    outputs = claim_output(
        args.out, "report", inputs=[*inputs, *marks.values()], overwrite=args.overwrite
    )
    files = RunFiles(
        work_dir=args.work_dir,
        images=args.images,
        truth=args.truth,
        submission=args.submission,
        evaluation=args.evaluation,
        marks=marks,
        facts=_read_facts(args.facts) if args.facts else {},
    )
    page, absent = build_report(files, title=args.title, limit=args.limit)
    with outputs.writing(args.out) as temporary:
        page.write(temporary)
    print(f"report: wrote {args.out}")
    for line in absent:
        print(f"  absent: {line}", file=sys.stderr)
    return 1 if absent else 0


main = partial(run_tool, build_parser, run)


def _parse_mark(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or not name or not path:
        raise InputError(f"--mark {text}", text, "NAME=JSON", "name the mark and its file")
    return name, Path(path)


def _read_facts(path: Path) -> dict[str, str]:
    return {str(name): str(value) for name, value in read_json_object(path).items()}
