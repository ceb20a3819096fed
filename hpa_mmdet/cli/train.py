r"""Train a config: the detector, then the localization heads on cached features.

Example:
    python tools/train.py configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py \
        --data-root work_dirs/demo/data --work-dir work_dirs/demo/train
    torchrun --nproc-per-node 8 tools/train.py CONFIG --data-root DIR --launcher pytorch --amp

Exit status: 0 trained; 2 bad arguments or input, nothing trained.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """Build the options, mmdet's own where it has one."""
    from mmengine.config import DictAction

    parser = new_parser("train", __doc__)
    add = parser.add_argument
    add("config", type=Path, help="a file of configs/")
    add("--data-root", type=Path, help="folder of the JSON files and train/ (default: $HPA_DATA)")
    add("--work-dir", type=Path, help="logs and checkpoints (default: work_dirs/<config name>)")
    add(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from a checkpoint, by default the newest whole one of the work dir",
    )
    add(
        "--instances",
        choices=("detect", "masks"),
        default="detect",
        help="masks: learn to name the JSON's cells, and not to find any (default: %(default)s)",
    )
    add("--amp", action="store_true", help="mixed precision: float16 on a GPU, else bfloat16")
    add("--auto-scale-lr", action="store_true", help="scale the learning rate by batch size")
    add("--seed", type=int, help="random seed (default: the config's)")
    add("--deterministic", action="store_true", help="the same bits on every run; slower on a GPU")
    add("--cfg-options", nargs="+", action=DictAction, help="key=value, override the config")
    add("--launcher", choices=("none", "pytorch", "slurm", "mpi"), default="none")
    add("--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train, say what to run next."""
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    runner = build_runner(args)
    runner.train()
    if runner.rank == 0:
        needs_masks = args.instances == "masks" or runner.cfg.model.type == "CropClassifier"
        print(f"next: {next_command(args, Path(runner.work_dir), needs_masks)}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns its exit status."""
    return run_tool(build_parser, run, argv)


def build_runner(args: argparse.Namespace) -> Any:
    """Read the config, apply the options, build mmengine's Runner."""
    if not args.config.is_file():
        raise InputError(args.config, "no file", "a config", "see configs/")
    if args.data_root is not None:
        # bases copy values when they are read, so the root must be known before that
        os.environ["HPA_DATA"] = str(args.data_root)
    from hpa_mmdet.compat import prepare

    prepare()
    from mmengine.config import Config
    from mmengine.registry import RUNNERS

    from hpa_mmdet.cli import train_options

    config = Config.fromfile(args.config)
    if args.cfg_options:
        config.merge_from_dict(args.cfg_options)
    config.launcher = args.launcher
    config.work_dir = str(args.work_dir or Path("work_dirs") / args.config.stem)
    if args.instances == "masks":
        train_options.use_given_cells(config)
    if args.amp:
        train_options.use_mixed_precision(config)
    if args.auto_scale_lr:
        config.auto_scale_lr.enable = True
    if args.seed is not None:
        config.randomness.seed = args.seed
    if args.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        config.randomness.deterministic = True
    if args.resume:
        config.resume = True
        config.load_from = None if args.resume == "auto" else args.resume
    train_options.check_annotation_files(config)
    return RUNNERS.build(config)


def next_command(args: argparse.Namespace, work_dir: Path, needs_masks: bool) -> str:
    """Say how to predict with what was trained; `needs_masks` where it finds no cells."""
    # what --cfg-options changed stands in the config that is kept beside the checkpoints
    config = work_dir / args.config.name if args.cfg_options else args.config
    pointer = work_dir / "last_checkpoint"
    newest = pointer.read_text(encoding="utf-8") if pointer.is_file() else "CHECKPOINT"
    cells = " --instances masks --masks MASKS" if needs_masks else ""
    return f"python tools/infer.py {config} {newest} IMAGES{cells} --out DIR"
