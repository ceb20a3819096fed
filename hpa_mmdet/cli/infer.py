r"""Find the cells of a folder of images and name what each shows.

Example:
    python tools/infer.py configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py \
        work_dirs/demo/train/epoch_2.pth work_dirs/demo/data/test --out work_dirs/demo/infer

Exit status: 0 all done; 1 done, but some images failed (listed in infer_report.json, each
with an empty row in the submission); 2 bad arguments or input.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.inference.arguments import add_run_arguments, run_options


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    from mmengine.config import DictAction

    parser = new_parser("infer", __doc__)
    add = parser.add_argument
    add("config", type=Path, help="the model's config, or the .json of tools/export.py")
    add("checkpoint", type=Path, help="the .pth of training, or the .safetensors of the export")
    add("images", type=Path, help="folder of <id>_<channel>.png files")
    add_run_arguments(parser)
    add = parser.add_argument_group("how the model is used").add_argument
    add("--device", default="auto", help="auto, cpu, cuda:0, ... (default: auto)")
    add("--amp", action="store_true", help="half precision on the device")
    add("--batch-size", type=int, default=1, help="images at once, 16 at most (default: 1)")
    add(
        "--tta",
        choices=("none", "flips", "d4"),
        default="none",
        help="average over 4 flips or all 8 turns of the image (default: none)",
    )
    add(
        "--input-scale",
        type=float,
        metavar="F",
        help="resize images by this before the network sees them, so that cells have the size "
        "that they had in training (default: as the config says)",
    )
    add("--tile", type=int, metavar="PX", help="cut larger images into tiles of this side")
    add(
        "--overlap",
        type=int,
        default=128,
        metavar="PX",
        help="what tiles share; more than a cell's diameter (default: 128)",
    )
    add("--min-cell-score", type=float, default=0.0, metavar="P", help="leave weaker cells out")
    add("--cfg-options", nargs="+", action=DictAction, help="key=value, override the config")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    options = run_options(args)
    from hpa_mmdet.inference.predictor import Predictor
    from hpa_mmdet.inference.run import run_inference

    predictor = Predictor(
        args.config,
        args.checkpoint,
        device=args.device,
        amp=args.amp,
        batch_size=args.batch_size,
        tta=args.tta,
        tile_px=args.tile,
        overlap_px=args.overlap,
        input_scale=args.input_scale,
        min_cell_score=args.min_cell_score,
        options=args.cfg_options,
    )
    report = run_inference(predictor, args.images, options)
    report.write(args.out / "infer_report.json")
    print(report.summary())
    print(f"infer: results in {args.out}")
    return report.exit_status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit status."""
    return run_tool(build_parser, run, argv)
