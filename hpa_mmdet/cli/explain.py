r"""Show where a crop classifier looked: class-activation pictures, a sheet per class.

Example:
    python tools/explain.py configs/crops/crop_lite0_bag-lse_demo.py \
        work_dirs/crops/fitted.pth work_dirs/demo/data/train_crops --out work_dirs/crops/explained

Needs the extra `explain`. Exit status: 0 written; 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("explain", __doc__)
    add = parser.add_argument
    add("config", type=Path, help="of the classifier, or the .json of an export")
    add("checkpoint", type=Path, help=".pth, or the .safetensors of the export")
    add("store", type=Path, help="crops of tools/extract_crops.py")
    add("--out", type=Path, required=True, help="folder of the sheets")
    add("--crops", type=int, default=6, help="crops of each class (default: %(default)s)")
    add("--level", type=int, default=-1, help="which map, finest first (default: the last)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the sheets."""
    from hpa_mmdet.inference.explain import explain_store
    from hpa_mmdet.inference.model_files import load_model

    model = load_model(args.config, args.checkpoint).model
    sheets = explain_store(model, args.store, args.out, args.crops, args.level)
    print(f"{len(sheets)} sheets in {args.out}")
    return 0


main = partial(run_tool, build_parser, run)
