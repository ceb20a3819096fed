r"""Find the cells of a folder of images and name what each shows.

Example:
    python tools/infer.py configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py \
        work_dirs/demo/train/fitted.pth work_dirs/demo/data/test \
        --out work_dirs/demo/infer

Exit status: 0 all done; 1 done, but some images failed (listed in infer_report.json, each
with an empty row in the submission); 2 bad arguments or input.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cleaning import CLEANINGS, DEFAULT_CLEANING
from hpa_mmdet.inference.plan import DEFAULT_OUTPUTS, OUTPUT_NAMES, RunOptions
from hpa_mmdet.io.channels import DEFAULT_PATTERN
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.shards import parse_shard
from hpa_mmdet.predictions.call_rules import read_thresholds
from hpa_mmdet.predictions.submission_rows import DEFAULT_MIN_CONFIDENCE

_PIXEL_KEY = "model.data_preprocessor.crop.pixel_um"


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    from mmengine.config import DictAction

    parser = new_parser("infer", __doc__)
    add = parser.add_argument
    add("config", type=Path, help="the model's config, or the .json of tools/export.py")
    add(
        "checkpoint",
        type=Path,
        help="the .pth of training, the .safetensors "
        "of the export, or `released` for a config that needs no training",
    )
    add("images", type=Path, help="folder of <id>_<channel>.png files")
    add("--out", type=Path, required=True, help="folder for all results")
    _add_run_arguments(parser)
    add = parser.add_argument_group("how the model is used").add_argument
    add("--device", default="auto", help="auto, cpu, cuda:0, ... (default: auto)")
    add("--amp", action="store_true", help="half precision on the device")
    add("--batch-size", type=int, default=1, help="images at once, 16 at most (default: 1)")
    add(
        "--tta",
        choices=("none", "flips", "d4"),
        default="none",
        help="average over 4 flips or all 8 symmetries of the image (default: none)",
    )
    add(
        "--input-scale",
        type=float,
        metavar="F",
        help="resize images by this before the network sees them, so that cells have the size "
        "that they had in training (default: as the config says)",
    )
    add(
        "--white-level",
        type=int,
        metavar="N",
        help="value of full brightness in 16-bit files, such as 4095 for a 12-bit camera "
        "(default: measured over the folder, and compared with the model's)",
    )
    add(
        "--pixel-size",
        type=float,
        metavar="UM",
        help="micrometres of a pixel, for configs whose crops have a fixed scale",
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
    add(
        "--clean",
        choices=CLEANINGS,
        default=DEFAULT_CLEANING,
        help="suppress: drop cells found twice; separate: also give each pixel to one cell and "
        "each cell one piece without holes; grow: also move outlines to the edges of the red and "
        "yellow stains; none: leave masks as found (default: %(default)s)",
    )
    add("--cfg-options", nargs="+", action=DictAction, help="key=value, override the config")
    return parser


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which images are done, how, and what is written."""
    add = parser.add_argument_group("which images").add_argument
    add(
        "--instances",
        choices=("model", "masks"),
        default="model",
        help="find the cells, or name those of --masks (default: model)",
    )
    add("--masks", type=Path, help="folder of label images, for --instances masks")
    add("--pattern", default=DEFAULT_PATTERN, help=f"names of the files ({DEFAULT_PATTERN})")
    add(
        "--channels",
        nargs="+",
        metavar="NAME[=WORD]",
        help="channels, or the words that stand for them in file names",
    )
    add(
        "--sample-submission",
        type=Path,
        metavar="CSV",
        help="predict exactly its images, so that the submission has its ids",
    )
    add("--workers", type=int, default=2, help="threads that read, and that write (default: 2)")
    add("--engine", choices=ENGINES, default="local", help="ray: on a cluster (extra `cluster`)")
    add(
        "--shard",
        default="1/1",
        metavar="I/N",
        help="do the I-th of N parts; the one that ends last writes the results",
    )
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--overwrite", action="store_true", help="throw the run in --out away")
    add = parser.add_argument_group("what is written").add_argument
    add(
        "--write",
        default=",".join(DEFAULT_OUTPUTS),
        metavar="LIST",
        help=f"out of {','.join(OUTPUT_NAMES)} (default: {','.join(DEFAULT_OUTPUTS)})",
    )
    add(
        "--min-confidence",
        type=float,
        default=DEFAULT_MIN_CONFIDENCE,
        metavar="P",
        help="leave less confident triples out of the submission (default: %(default)s)",
    )
    add(
        "--call-score",
        type=float,
        default=0.5,
        metavar="P",
        help="p(cell) from which on a cell is in table, labels, pictures, AnnData (default: 0.5)",
    )
    add(
        "--thresholds",
        type=Path,
        metavar="JSON",
        help="19 probabilities from which on a class is called, or the JSON of "
        "tools/evaluate.py (default: those stored with the model, else 0.5)",
    )


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    options = _run_options(args)
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
        white_level=args.white_level,
        min_cell_score=args.min_cell_score,
        clean=args.clean,
        options=_config_options(args),
    )
    report = run_inference(predictor, args.images, options)
    print(report.summary())
    print(f"infer: results in {args.out}")
    return report.exit_status


def _run_options(args: argparse.Namespace) -> RunOptions:
    if args.instances == "masks" and args.masks is None:
        raise InputError(
            "--instances masks",
            problem="needs --masks DIR",
            remedy="give the folder of label images",
        )
    if args.masks is not None and args.instances != "masks":
        raise InputError(
            "--masks", problem="needs --instances masks", remedy="add it, or leave out --masks"
        )
    if args.workers < 1:
        raise InputError("--workers", args.workers, "1 or more", "correct it")
    return RunOptions(
        out=args.out,
        masks=args.masks,
        pattern=args.pattern,
        channel_words=tuple(args.channels) if args.channels else None,
        write=tuple(word for word in args.write.split(",") if word),
        workers=args.workers,
        engine=args.engine,
        shard=parse_shard(args.shard),
        resume=args.resume,
        overwrite=args.overwrite,
        sample_submission=args.sample_submission,
        min_confidence=args.min_confidence,
        call_score=args.call_score,
        thresholds=None if args.thresholds is None else read_thresholds(args.thresholds),
    )


def _config_options(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.pixel_size is None:
        return args.cfg_options
    return {**(args.cfg_options or {}), _PIXEL_KEY: args.pixel_size}


main = partial(run_tool, build_parser, run)
