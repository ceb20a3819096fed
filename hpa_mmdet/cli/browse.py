r"""Show a data set as a gallery: each image with its cells outlined and named.

Example:
    python tools/browse.py work_dirs/demo/train.json --out work_dirs/demo/gallery.html
    python tools/browse.py train.json --images train --label Golgi --limit 10 --out golgi.html

Exit status: 0 all done; 1 written, but some images could not be read; 2 bad arguments or
input, nothing written.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.coco.index import open_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.outputs import claim_output
from hpa_mmdet.jobs import Report
from hpa_mmdet.reports.gallery import Selection, build_gallery, parse_label, select_images


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("browse", __doc__)
    add = parser.add_argument
    add("coco", type=Path, help="COCO JSON of tools/convert_coco.py")
    add("--out", type=Path, required=True, help="HTML page to write")
    add("--images", type=Path, help="folder of channel files (default: what the JSON names)")
    add("--label", action="append", default=[], help="only images with it; may be repeated")
    add("--id", action="append", default=[], help="only this image; may be repeated")
    add("--limit", type=int, default=24, help="at most so many images (default 24)")
    add("--size", type=int, default=560, help="longest side of a picture, px (default 560)")
    add("--workers", type=int, default=1, help="processes (default 1)")
    add("--overwrite", action="store_true", help="replace --out if this tool wrote it")
    return parser


def run(args: argparse.Namespace) -> int:
    """Draw, say where the page is."""
    report = Report("browse")
    inputs = [args.coco, args.images]
    outputs = claim_output(args.out, "browse", inputs=inputs, overwrite=args.overwrite)
    labels = tuple(parse_label(word) for word in args.label)
    data = open_coco(args.coco)
    images = select_images(data, Selection(labels, tuple(args.id), args.limit))
    folder = args.images or data.images_root
    if folder is not None and not folder.is_dir():
        raise InputError(folder, "no folder", "the images' folder", "give --images")
    page = build_gallery(data, images, folder, report, size_px=args.size, workers=args.workers)
    if report.done:
        with outputs.writing(args.out) as temporary:
            page.write(temporary)
        print(f"browse: {report.done} images in {args.out}")
    for failure in report.failures:
        print(f"  failed {failure.item_id}: {failure.message}", file=sys.stderr)
    return report.exit_status


main = partial(run_tool, build_parser, run)
