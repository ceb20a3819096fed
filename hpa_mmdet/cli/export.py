r"""Write a trained model as safetensors and JSON, which load without running code.

Example:
    python tools/export.py configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py \
        work_dirs/demo/train/fitted.pth --out work_dirs/demo/model
    python tools/infer.py work_dirs/demo/model.json work_dirs/demo/model.safetensors \
        IMAGES --out DIR

Exit status: 0 written; 2 bad arguments or input, nothing written.
"""

import argparse
import math
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.outputs import OutputFiles


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    from mmengine.config import DictAction

    parser = new_parser("export", __doc__)
    add = parser.add_argument
    add("config", type=Path, help="the model's config")
    add("checkpoint", type=Path, help="the .pth of training")
    add("--out", type=Path, required=True, help="OUT.safetensors and OUT.json are written")
    add(
        "--thresholds",
        type=Path,
        metavar="JSON",
        help="19 probabilities from which on a class is called, or the JSON of "
        "tools/evaluate.py (default: the checkpoint's, else 0.5)",
    )
    add(
        "--cell-diameter",
        type=float,
        metavar="PX",
        help="median diameter of the training's cells in the network's input, by which "
        "tools/infer.py notices images of another magnification (default: measured, where the "
        "config's COCO JSON is here)",
    )
    add("--cfg-options", nargs="+", action=DictAction, help="key=value, override the config")
    add("--overwrite", action="store_true", help="replace an export that this tool wrote")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    from hpa_mmdet.inference.export import export_model, paths_of_export
    from hpa_mmdet.inference.model_files import load_model
    from hpa_mmdet.predictions.call_rules import read_thresholds

    thresholds = None if args.thresholds is None else read_thresholds(args.thresholds)
    if args.cell_diameter is not None and not 0 < args.cell_diameter < math.inf:
        raise InputError("--cell-diameter", args.cell_diameter, "a number above 0", "correct it")
    inputs = [args.config, args.checkpoint, args.thresholds]
    files = OutputFiles("export", inputs=inputs, overwrite=args.overwrite)
    for path in paths_of_export(args.out):
        files.claim(path)
    loaded = load_model(args.config, args.checkpoint, options=args.cfg_options)
    paths = export_model(loaded, args.out, thresholds, args.cell_diameter, files)
    print(f"export: wrote {paths[1]} and {paths[0]}")
    print(f"next: python tools/infer.py {paths[0]} {paths[1]} IMAGES --out DIR")
    return 0


main = partial(run_tool, build_parser, run)
