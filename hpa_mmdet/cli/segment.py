r"""Find the cells of each image of a folder and write them as label images.

Example:
    python tools/segment.py data/train --out work_dirs/masks --nuclei-out work_dirs/nuclei \
        --qc work_dirs/pictures --workers 4

Images that are done are skipped, so a broken run goes on where it stopped; a mask that was
corrected by hand is kept. The report is segment_report.json beside the masks.

Exit status: 0 all done; 1 done, but some images failed or have nuclei that cannot be right
(listed in the report); 2 bad arguments or input, no mask written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.io.channels import DEFAULT_PATTERN
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.shards import parse_shard
from hpa_mmdet.segment.folder import ImageFolder, segment_folder
from hpa_mmdet.segment.method_options import add_options, build_method, options_of
from hpa_mmdet.segment.methods import SEGMENTERS
from hpa_mmdet.segment.outputs import FORMATS, SegmentFolders


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("segment", __doc__)
    add = parser.add_argument
    add("images", type=Path, help="folder of <id>_<channel>.png files")
    add("--out", type=Path, required=True, help="folder for the cell masks, <id>_mask.png")
    add("--nuclei-out", type=Path, help="folder for the nuclei, same ids as their cells")
    add("--qc", type=Path, help="folder for pictures with outlines, and a sheet of them")
    add("--method", choices=list(SEGMENTERS), default="watershed", help="(default: %(default)s)")
    add("--border", choices=["keep", "drop"], default="keep", help="cells cut by the border")
    add("--format", choices=FORMATS, default="png", help="png (8 or 16 bit) or tif (32 bit)")
    add(
        "--channels",
        nargs="+",
        help="channels to use; red=w2 where files say w2; without {channel} in the pattern the "
        "planes of each file, _ to skip one (default: red blue yellow)",
    )
    add("--pattern", default=DEFAULT_PATTERN, help="image files (default: %(default)s)")
    add_options(parser.add_argument_group("options of the methods"), SEGMENTERS)
    _add_run(parser.add_argument_group("the run"))
    return parser


def _add_run(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add("--engine", choices=ENGINES, default="local", help="(default: %(default)s)")
    add("--shard", metavar="i/n", help="do part i of n")
    add("--overwrite", action="store_true", help="make the tool's own masks anew")


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    flags = {choice.flag for method in SEGMENTERS.values() for choice in options_of(method)}
    names = {flag: flag.removeprefix("--").replace("-", "_") for flag in flags}
    given = {flag: getattr(args, name) for flag, name in names.items() if hasattr(args, name)}
    channels = ("blue",) if "--nuclei-only" in given else ("red", "blue", "yellow")
    report = segment_folder(
        ImageFolder(args.images, tuple(args.channels or channels), args.pattern),
        SegmentFolders(args.out, args.nuclei_out, args.format, args.border == "keep", args.qc),
        build_method(args.method, SEGMENTERS, given),
        workers=args.workers,
        engine=args.engine,
        shard=parse_shard(args.shard) if args.shard else None,
        overwrite=args.overwrite,
    )
    print(report.summary())
    print(f"masks: {args.out}")
    return report.exit_status


main = partial(run_tool, build_parser, run)
