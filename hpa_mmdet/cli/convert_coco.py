r"""Convert cell masks and image labels to COCO JSON, one annotation per cell.

Example:
    python tools/convert_coco.py data/train --masks work_dirs/masks \
        --labels data/train.csv --out work_dirs/train.json

IMAGES may be left out: sizes then come from the masks. The report is written beside --out.
Killed runs go on where they stopped. --shard i/n does a part; tools/merge_coco.py joins them.

Exit status: 0 all done; 1 done, but some images failed (listed in the report); 2 bad
arguments or input, nothing written.
"""

import argparse
from dataclasses import fields
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.coco.schema import LAYOUTS
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.shards import parse_shard
from hpa_mmdet.localizations import LABEL_SCHEMES

_DEFAULTS = ConvertOptions()


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("convert_coco", __doc__)
    add = parser.add_argument
    add("images", type=Path, nargs="?", help="folder of channel files (default: masks only)")
    add("--masks", type=Path, required=True, help="folder of label images, one per id")
    add("--labels", type=Path, help="CSV of image labels, columns ID,Label or Id,Target")
    add("--cell-labels", type=Path, help="CSV of true sets, columns ID,cell_id,cell_labels")
    add("--nuclei", type=Path, help="folder of nuclei label images: a second JSON")
    add("--out", type=Path, required=True, help="COCO JSON to write")
    _add_names(parser.add_argument_group("names of files and labels"))
    _add_filters(parser.add_argument_group("what is written"))
    _add_run(parser.add_argument_group("the run"))
    return parser


def _add_names(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--pattern", default=_DEFAULTS.pattern, help="image files (default: %(default)s)")
    add(
        "--channels",
        nargs="+",
        default=list(_DEFAULTS.channels),
        help="channels of each image; red=w2 where files say w2; without {channel} in the "
        "pattern the planes of each file, _ to skip one (default: %(default)s)",
    )
    add("--mask-pattern", help="label images (default: {id}_mask.* or {id}.*)")
    add("--label-scheme", choices=LABEL_SCHEMES, default="hpa19", help="(default: %(default)s)")
    add("--id-column", help="column of --labels (default: ID, Id, image_id or Image)")
    add("--label-column", help="column of --labels (default: Label, Target, Label_idx)")
    add("--default-labels", help="labels of images that no table names, such as 18")


def _add_filters(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="(default: %(default)s)")
    add("--cytoplasm", action="store_true", help="also cells minus --nuclei, in a third JSON")
    add("--skip-unlabelled-cells", action="store_true", help="leave out, do not fail")
    add("--min-area", dest="min_area_px", type=int, default=0, metavar="PX", help="of a cell")
    add("--max-area", dest="max_area_px", type=int, metavar="PX", help="of a cell")
    add("--drop-border", action="store_true", help="leave out cells cut by the border")
    add("--min-focus", type=float, help="leave out images below (docs/how-to/convert.md)")
    add("--focus-channel", help="(default: blue, else green, else the first)")
    add("--max-pixels", type=int, default=_DEFAULTS.max_pixels, help="(default: %(default)s)")


def _add_run(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add("--engine", choices=ENGINES, default="local", help="(default: %(default)s)")
    add("--shard", metavar="i/n", help="do part i of n, into OUT's <stem>.shard-i-of-n.json")
    add("--overwrite", action="store_true", help="replace --out if it exists")


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    values = {field.name: getattr(args, field.name) for field in fields(ConvertOptions)}
    options = ConvertOptions(**{**values, "channels": tuple(args.channels)})
    report = convert(
        Sources(args.masks, args.labels, args.images, args.cell_labels, args.nuclei),
        args.out,
        options,
        workers=args.workers,
        engine=args.engine,
        shard=parse_shard(args.shard) if args.shard else None,
        overwrite=args.overwrite,
    )
    print(report.summary())
    # a shard is written even where all of its images failed, so that the whole can be merged
    return min(report.exit_status, 1) if args.shard else report.exit_status


main = partial(run_tool, build_parser, run)
