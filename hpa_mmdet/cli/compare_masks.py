r"""Compare two folders of label images: cells matched, missed, split and merged.

Example:
    python tools/compare_masks.py data/truth work_dirs/masks --each

A is the reference. `missed` cells of A have no partner in B; `split` and `merged` are among
them: cells in which two or more of B lie, cells that share one of B with another.

Exit status: 0 all compared; 1 some images could not be; 2 bad arguments or input.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.segment.compare import Agreement
from hpa_mmdet.segment.compare_folders import IOUS, Comparison, compare_folders


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        prog="compare_masks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("reference", metavar="A", type=Path, help="folder of label images taken as right")
    add("predicted", metavar="B", type=Path, help="folder of label images to judge")
    add("--iou", type=_iou, nargs="+", default=list(IOUS), help="(default: 0.5 0.6 0.75)")
    add("--each", action="store_true", help="print a line for each image too")
    add("--json", type=Path, help="file for the counts of each image and of all")
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    return parser


def _iou(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0, up to 1")
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, print the table."""
    args = build_parser().parse_args(argv)
    try:
        found, report = compare_folders(
            args.reference, args.predicted, ious=args.iou, workers=args.workers
        )
    except InputError as error:
        print(f"compare_masks: {error}", file=sys.stderr)
        return 2
    _print_table(found, each=args.each)
    print(report.summary())
    if args.json is not None:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(found.to_json(), indent=1), encoding="utf-8")
    return report.exit_status


def _print_table(found: Comparison, *, each: bool) -> None:
    width = max([12, *(len(image_id) for image_id in found.of_image)]) if each else 12
    heads = ("IoU", "F1", "matched", "missed", "split", "merged", "false")
    print(f"{'':{width}}" + "".join(f"{head:>9}" for head in heads))
    rows = found.of_image.items() if each else []
    for name, counts in [*rows, ("all images", found.total)]:
        for iou, agreement in counts.items():
            print(f"{name:{width}}{iou:>9g}{_cells(agreement)}")


def _cells(agreement: Agreement) -> str:
    counts = (agreement.matched, agreement.missed, agreement.split, agreement.merged)
    numbers = "".join(f"{count:>9}" for count in (*counts, agreement.false))
    return f"{agreement.f1:>9.3f}{numbers}"
