r"""Cut every cell out of its image and write a store of crops for training.

Examples:
    python tools/extract_crops.py work_dirs/train.json --out work_dirs/crops
    python tools/extract_crops.py data/train --masks work_dirs/masks \
        --labels data/train.csv --size 96 --channels green mask --out work_dirs/crops

SOURCE is a COCO JSON of convert_coco, or a folder of images, whose label images --masks names.
A killed run goes on where it stopped. --shard i/n cuts a part; once all are done, the same
command without --shard finishes the store. docs/how-to/crops.md says how to choose options.

Exit status: 0 all done; 1 done, but some images failed (listed in the report); 2 bad
arguments or input, no store written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import add_groups, new_parser, run_tool
from hpa_mmdet.crops.extract import extract_crops
from hpa_mmdet.crops.limits import CropLimits
from hpa_mmdet.crops.options import FRAMINGS, REGIONS, CropOptions
from hpa_mmdet.crops.sheet import write_sheets
from hpa_mmdet.crops.sources import SourceOptions
from hpa_mmdet.crops.statistics import describe_sizes
from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.shards import parse_shard
from hpa_mmdet.localizations import LABEL_SCHEMES

_DEFAULTS = CropOptions()


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("extract_crops", __doc__)
    add = parser.add_argument
    add("source", type=Path, help="COCO JSON, or folder of images")
    add("--out", type=Path, required=True, help="folder of the store")
    _add_source(parser.add_argument_group("the source"))
    add_crop_options(parser.add_argument_group("the crops"))
    _add_limits(parser.add_argument_group("cells that are left out"))
    _add_run(parser.add_argument_group("the run"))
    return parser


def _add_source(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--images", type=Path, help="folder of the JSON's images (default: the one it names)")
    add("--masks", type=Path, help="folder of label images, for a folder of images")
    add("--nuclei", type=Path, help="folder of label images of nuclei, for --region")
    add("--labels", type=Path, help="CSV of image labels, for a folder of images")
    add("--cell-labels", type=Path, help="CSV of cell labels, for a folder of images")
    add_groups(group, "of the images, such as antibodies; folds keep them together")
    add("--pattern", default=DEFAULT_PATTERN, help="image files (default: %(default)s)")
    add(
        "--file-channels",
        nargs="+",
        default=list(CHANNELS),
        help="channels of the files of a folder; red=w2 where files say w2 (default: %(default)s)",
    )
    add("--mask-pattern", help="label images (default: {id}_mask.* or {id}.*)")
    add("--label-scheme", choices=LABEL_SCHEMES, default="hpa19", help="(default: %(default)s)")


def add_crop_options(group: argparse._ArgumentGroup) -> None:
    """Add an option for each field of `CropOptions`."""
    add = group.add_argument
    add(
        "--channels",
        nargs="+",
        default=list(_DEFAULTS.channels),
        help="planes of a crop; mask adds the cell's mask (default: %(default)s)",
    )
    add("--size", type=int, default=_DEFAULTS.size_px, metavar="PX", help="(default: %(default)s)")
    add("--region", choices=REGIONS, default=_DEFAULTS.region, help="(default: %(default)s)")
    add(
        "--framing",
        choices=FRAMINGS,
        default=_DEFAULTS.framing,
        help="square window around the box, box stretched to the crop, or a window of fixed "
        "size in micrometres (default: %(default)s)",
    )
    add("--um-per-px", type=float, help="micrometres of a crop's pixel, for --framing fixed")
    add("--pixel-size", type=float, metavar="UM", help="micrometres of an image's pixel")
    add("--margin", type=float, default=0.0, help="share of the box's longer side to add")
    add("--keep-surroundings", action="store_true", help="do not blank what is not the cell")
    add("--grow-um", type=float, default=0.0, help="grow the mask before it blanks")
    add("--clean-green", action="store_true", help="subtract background, scale by percentiles")
    add(
        "--white-level",
        type=int,
        metavar="N",
        help="value of full brightness in 16-bit files (default: measured over the images)",
    )
    add(
        "--linear",
        action="store_true",
        help="interpolate linearly, without halving large windows first",
    )


def crop_options(args: argparse.Namespace) -> CropOptions:
    """Read the options that `add_crop_options` added.

    Raises:
        InputError: as `CropOptions`.
    """
    return CropOptions(
        channels=tuple(args.channels),
        size_px=args.size,
        region=args.region,
        framing=args.framing,
        um_per_px=args.um_per_px,
        pixel_um=args.pixel_size,
        margin=args.margin,
        blank=not args.keep_surroundings,
        grow_um=args.grow_um,
        clean_green=args.clean_green,
        white_level=args.white_level,
        linear=args.linear,
    )


def _add_limits(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--min-side", type=int, default=1, metavar="PX", help="of a cell's box")
    add("--max-side", type=int, metavar="PX", help="of a cell's box")
    add("--min-area", type=int, default=1, metavar="PX", help="of a cell's mask")
    add("--drop-border", action="store_true", help="leave out cells cut by the border")
    add("--drop-clipped", action="store_true", help="leave out cells larger than a fixed window")


def _add_run(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--sheets", type=int, default=0, metavar="N", help="a contact sheet of N cells per class")
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add("--engine", choices=ENGINES, default="local", help="(default: %(default)s)")
    add("--shard", metavar="i/n", help="do part i of n")
    add("--overwrite", action="store_true", help="replace an older store")


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    source = SourceOptions(
        args.source,
        args.images,
        args.masks,
        args.nuclei,
        args.labels,
        args.cell_labels,
        args.groups,
        args.pattern,
        tuple(args.file_channels),
        args.mask_pattern,
        args.label_scheme,
    )
    limits = CropLimits(
        args.min_side, args.max_side, args.min_area, args.drop_border, args.drop_clipped
    )
    shard = parse_shard(args.shard) if args.shard else None
    report = extract_crops(
        source,
        args.out,
        crop_options(args),
        limits,
        workers=args.workers,
        engine=args.engine,
        shard=shard,
        overwrite=args.overwrite,
    )
    if shard is None and report.done:
        store = CropStore(args.out)
        print(describe_sizes(store.cells.boxes_xywh))
        if args.sheets:
            print(f"sheets: {write_sheets(store, source, args.sheets)}")
    print(report.summary())
    return report.exit_status


main = partial(run_tool, build_parser, run)
