r"""Find the cells of each image of a folder and write them as label images.

Example:
    python tools/segment.py data/train --out work_dirs/masks --nuclei-out work_dirs/nuclei \
        --qc work_dirs/pictures --workers 4

Images whose masks exist are skipped, so a broken run goes on where it stopped. The report is
segment_report.json beside the masks.

Exit status: 0 all done; 1 done, but some images failed (listed in the report); 2 bad
arguments or input, no mask written.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.io.channels import DEFAULT_PATTERN
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.shards import parse_shard
from hpa_mmdet.segment import NucleusSize
from hpa_mmdet.segment.cellpose import DEFAULT_MODEL
from hpa_mmdet.segment.folder import FORMATS, Outputs, Source, segment_folder
from hpa_mmdet.segment.methods import METHODS, MethodOptions, build_segmenter


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("segment", __doc__)
    add = parser.add_argument
    add("images", type=Path, help="folder of <id>_<channel>.png files")
    add("--out", type=Path, required=True, help="folder for the cell masks, <id>_mask.png")
    add("--nuclei-out", type=Path, help="folder for the nuclei, same ids as their cells")
    add("--qc", type=Path, help="folder for pictures with outlines, and a sheet of them")
    add("--method", choices=METHODS, default="watershed", help="(default: %(default)s)")
    add("--nuclei-only", action="store_true", help="the nuclei are the cells; needs blue alone")
    add("--border", choices=["keep", "drop"], default="keep", help="cells cut by the border")
    add("--format", choices=FORMATS, default="png", help="png (8 or 16 bit) or tif (32 bit)")
    _add_inputs(parser.add_argument_group("files and sizes"))
    _add_networks(parser.add_argument_group("networks and given masks"))
    _add_run(parser.add_argument_group("the run"))
    return parser


def _add_inputs(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--channels",
        nargs="+",
        help="channels to use; red=w2 where files say w2; without {channel} in the pattern the "
        "planes of each file, _ to skip one (default: red blue yellow)",
    )
    add("--pattern", default=DEFAULT_PATTERN, help="image files (default: %(default)s)")
    add("--pixel-um", type=float, help="side of a pixel in micrometres")
    add("--nucleus-diameter-um", type=float, help="of a typical nucleus, with --pixel-um")
    add("--nucleus-diameter-px", type=float, help="(default: estimated for each image)")


def _add_networks(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--nuclei-weights", type=Path, help="hpacellseg: file of the nuclei network")
    add("--cell-weights", type=Path, help="hpacellseg: file of the cell network")
    add("--trust-pickle", action="store_true", help="hpacellseg: run the code in pickled weights")
    add("--cellpose-model", default=DEFAULT_MODEL, help="name or file (default: %(default)s)")
    add("--download-weights", action="store_true", help="let a package fetch missing weights")
    add("--device", default="cpu", help="cpu, cuda or cuda:<n> (default: %(default)s)")
    add("--masks", type=Path, help="masks: folder of label images of cells")
    add("--nuclei-masks", type=Path, help="masks: folder of label images of nuclei")


def _add_run(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--workers", type=int, default=1, help="processes (default: %(default)s)")
    add("--engine", choices=ENGINES, default="local", help="(default: %(default)s)")
    add("--shard", metavar="i/n", help="do part i of n")
    add("--overwrite", action="store_true", help="redo images whose masks exist")


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    channels = ("blue",) if args.nuclei_only else ("red", "blue", "yellow")
    report = segment_folder(
        Source(args.images, tuple(args.channels or channels), args.pattern),
        Outputs(args.out, args.nuclei_out, args.format, args.border == "keep", args.qc),
        build_segmenter(args.method, _options(args)),
        workers=args.workers,
        engine=args.engine,
        shard=parse_shard(args.shard) if args.shard else None,
        overwrite=args.overwrite,
    )
    print(report.summary())
    print(f"masks: {args.out}")
    return report.exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit status."""
    return run_tool(build_parser, run, argv)


def _options(args: argparse.Namespace) -> MethodOptions:
    return MethodOptions(
        size=NucleusSize(args.nucleus_diameter_px, args.nucleus_diameter_um, args.pixel_um),
        nuclei_only=args.nuclei_only,
        nuclei_weights=args.nuclei_weights,
        cell_weights=args.cell_weights,
        trust_pickle=args.trust_pickle,
        cellpose_model=args.cellpose_model,
        download=args.download_weights,
        device=args.device,
        masks=args.masks,
        nuclei_masks=args.nuclei_masks,
    )
