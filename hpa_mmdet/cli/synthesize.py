"""Draw synthetic images of cells in the contest's layout, with their truth.

Examples:
    python tools/synthesize.py work_dirs/demo/data --images 400 --test-images 160
    python tools/synthesize.py work_dirs/semi_real --layout DATA --size 384 384
    python tools/synthesize.py --contact-sheet docs/images/synthetic_cells.jpg

Writes OUT/train, OUT/train.csv, OUT/test, OUT/sample_submission.csv and, for scoring alone,
OUT/truth. The same seed gives the same bytes for any number of workers. --layout DATA draws
into real cell outlines (DATA/truth/<id>_mask.png) with real label sets (DATA/images.csv with
a column antibody, DATA/cells.csv); train and test then share no antibody.

Exit status: 0 all done; 1 some images failed (listed); 2 bad arguments or input, nothing
written.
"""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.io.outputs import OutputFiles, claim_output
from hpa_mmdet.jobs import Report
from hpa_mmdet.jobs.fingerprint import code_digest, fingerprint
from hpa_mmdet.synth.dataset import (
    SPLITS,
    check_image_counts,
    claim_data_set,
    plan_items,
    render_item,
    write_dataset,
)
from hpa_mmdet.synth.image import check_size
from hpa_mmdet.synth.layout import (
    plan_layout_items,
    read_layout,
    render_layout_item,
    write_groups,
)
from hpa_mmdet.synth.shares import LabelModel
from hpa_mmdet.synth.sheet import write_class_sheet


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("synthesize", __doc__)
    add = parser.add_argument
    add("out", type=Path, nargs="?", help="folder to write to")
    add("--images", type=int, default=400, help="training images (default 400)")
    add("--test-images", type=int, default=160, help="test images (default 160)")
    add("--size", type=int, nargs=2, default=(640, 640), metavar=("H", "W"), help="in pixels")
    add("--pixel-um", type=float, default=0.25, help="pixel side; of no use with --layout")
    add("--seed", type=int, default=0, help="the same seed gives the same bytes")
    add("--workers", type=int, default=os.cpu_count(), help="processes (default: all cores)")
    add("--share", type=float, help="share of cells that show each image label, for all classes")
    add("--evenness", type=float, default=0.5, help="0: label frequencies of the contest, 1: even")
    add("--layout", type=Path, metavar="DATA", help="draw into real outlines with real label sets")
    add("--contact-sheet", type=Path, metavar="FILE", help="only draw one picture of the classes")
    add("--overwrite", action="store_true", help="replace an older synthetic data set in OUT")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    report = Report("synthesize")
    if args.contact_sheet:
        outputs = claim_output(args.contact_sheet, "synthesize", overwrite=args.overwrite)
        with outputs.writing(args.contact_sheet) as temporary:
            write_class_sheet(temporary, args.seed)
        print(f"synthetic cells in {args.contact_sheet}")
        return 0
    check_image_counts(args.out, args.images, args.test_images)
    _write(args, report, args.command_line)
    print(report.summary())
    print(f"synthetic images in {args.out}")
    return report.exit_status


main = partial(run_tool, build_parser, run)


def _write(args: argparse.Namespace, report: Report, command: str) -> None:
    shape_hw = (args.size[0], args.size[1])
    labels = LabelModel(share=args.share, evenness=args.evenness)
    if args.layout:
        layout = read_layout(args.layout)
        items = plan_layout_items(layout, args.seed, args.images, args.test_images)
        drawing = partial(render_layout_item, seed=args.seed, shape_hw=shape_hw)
        outputs = _claim(args, items)
        write_dataset(args.out, outputs, items, drawing, report, args.workers, command)
        with outputs.writing(args.out / "train_groups.csv") as temporary:
            write_groups(temporary, items)
    else:
        check_size(shape_hw, args.pixel_um)
        drawing = partial(
            render_item, seed=args.seed, shape_hw=shape_hw, pixel_um=args.pixel_um, labels=labels
        )
        plan = plan_items(args.seed, args.images, args.test_images)
        write_dataset(args.out, _claim(args, plan), plan, drawing, report, args.workers, command)
    for split in SPLITS:
        truth = args.out / "truth" / split
        if (truth / "masks").is_dir():
            sources = Sources(
                truth / "masks", truth / "images.csv", args.out / split, truth / "cells.csv"
            )
            truth_json = truth / "cells.json"
            converted = convert(sources, truth_json, workers=args.workers, overwrite=True)
            report.failures.extend(converted.failures)


def _claim(args: argparse.Namespace, items: Sequence[object]) -> OutputFiles:
    """Claim the folder, under a fingerprint of all that the images depend on."""
    code = code_digest("hpa_mmdet.synth.dataset", "hpa_mmdet.synth.layout")
    options = (args.seed, *args.size, args.pixel_um, args.share, args.evenness, args.layout)
    mark = fingerprint(code, options, list(items))
    return claim_data_set(args.out, mark, overwrite=args.overwrite)
