r"""Describe a data set on one page: labels, cells, crop sizes, brightness, examples.

Example:
    python tools/stats.py work_dirs/demo/train.json --out work_dirs/demo/stats.html
    python tools/stats.py train.csv --images train --out stats.html
    python tools/stats.py train_2018.csv --label-scheme hpa28 --out stats_2018.html

A COCO JSON of tools/convert_coco.py, or a label table alone. The numbers are written as
JSON beside the page.

Exit status: 0 all done; 1 written, but some images could not be read; 2 bad arguments or
input, nothing written.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN
from hpa_mmdet.io.json_files import dump_json
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report
from hpa_mmdet.localizations import LABEL_SCHEMES
from hpa_mmdet.reports.statistics import build_statistics, read_dataset


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("stats", __doc__)
    add = parser.add_argument
    add("source", type=Path, help="COCO JSON, or CSV with columns ID,Label or Id,Target")
    add("--out", type=Path, required=True, help="HTML page; numbers go to the same name, .json")
    add("--images", type=Path, help="folder of channel files (default: what the JSON names)")
    add("--pattern", default=DEFAULT_PATTERN, help=f"their names (default {DEFAULT_PATTERN})")
    add("--channels", nargs="+", default=CHANNELS, help="channels of a CSV's images")
    add("--label-scheme", choices=LABEL_SCHEMES, default="hpa19", help="labels of a CSV")
    add("--examples", type=int, default=12, help="pictures of each kind (default 12)")
    add("--sample", type=int, default=200, help="images to measure brightness on (default 200)")
    add("--workers", type=int, default=1, help="processes (default 1)")
    add("--overwrite", action="store_true", help="replace --out if this tool wrote it")
    return parser


def run(args: argparse.Namespace) -> int:
    """Count, write, say where the page is."""
    report = Report("stats")
    numbers_out = args.out.with_suffix(".json")
    outputs = OutputFiles("stats", inputs=[args.source, args.images], overwrite=args.overwrite)
    for path in (args.out, numbers_out):
        outputs.claim(path)
    data = read_dataset(
        args.source,
        images=args.images,
        channels=args.channels,
        pattern=args.pattern,
        scheme=args.label_scheme,
    )
    page, numbers = build_statistics(
        data, report, examples=args.examples, sample=args.sample, workers=args.workers
    )
    with outputs.writing(args.out) as temporary:
        page.write(temporary)
    with outputs.writing(numbers_out) as temporary:
        temporary.write_text(dump_json(numbers), encoding="utf-8")
    print(f"stats: {len(data.image_labels)} images; wrote {args.out}")
    for failure in report.failures:
        print(f"  failed {failure.item_id}: {failure.message}", file=sys.stderr)
    return 1 if report.failures else 0


main = partial(run_tool, build_parser, run)
