"""Segment a folder of images into one label image of cells each.

Example:
    python tools/segment.py data/demo/train --out work_dirs/demo/masks

Exit status: 0 all done; 1 done, but some images failed (listed in segment_report.json
beside the masks); 2 bad arguments or input, nothing written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN
from hpa_mmdet.segment.folder import FORMATS, Outputs, segment_folder
from hpa_mmdet.segment.watershed import WatershedSegmenter


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("images", type=Path, help="folder of <id>_<channel>.png files")
    add("--out", type=Path, required=True, help="folder for the cell masks, <id>_mask.png")
    add("--nuclei-out", type=Path, help="folder for the nuclei, same ids as the cells")
    add("--method", choices=["watershed"], default="watershed")
    add("--channels", nargs="+", choices=CHANNELS, help="default: red blue yellow")
    add("--pattern", default=DEFAULT_PATTERN, help="file names (default: %(default)s)")
    add("--nuclei-only", action="store_true", help="the nuclei are the cells; needs blue alone")
    add("--nucleus-diameter-px", type=float, help="default: estimated for each image")
    add("--border", choices=["keep", "drop"], default="keep", help="cells cut by the border")
    add("--format", choices=FORMATS, default="png", help="png (8 or 16 bit) or tif (32 bit)")
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add("--overwrite", action="store_true", help="redo images whose masks exist")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say where the result is."""
    args = build_parser().parse_args(argv)
    try:
        report = segment_folder(
            args.images,
            Outputs(args.out, args.nuclei_out, args.format, args.border == "keep"),
            WatershedSegmenter(args.nucleus_diameter_px, args.nuclei_only),
            channels=_channels_to_read(args),
            pattern=args.pattern,
            workers=args.workers,
            overwrite=args.overwrite,
        )
    except InputError as error:
        print(f"segment: {error}", file=sys.stderr)
        return 2
    print(report.summary())
    print(f"masks: {args.out}")
    return report.exit_status


def _channels_to_read(args: argparse.Namespace) -> tuple[str, ...]:
    if args.nuclei_only:
        return ("blue",)
    return tuple(args.channels or ("red", "blue", "yellow"))
