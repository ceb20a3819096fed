r"""Train a config: the detector, then the localization heads on cached features.

Example:
    python tools/train.py configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py \
        --data-root work_dirs/demo/data --work-dir work_dirs/demo/train
    torchrun --nproc-per-node 8 tools/train.py CONFIG --data-root DIR --launcher pytorch --amp

Exit status: 0 trained; 2 bad arguments or input, nothing trained.
"""

import argparse
import os
import shlex
from functools import partial
from pathlib import Path
from typing import Any

from hpa_mmdet.cli.entry import add_groups, new_parser, run_tool


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
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
    add_groups(parser, "kept together where held-out images decide, if cells are reviewed")
    add("--white-level", type=int, help="full brightness in 16-bit files (default: measured)")
    add("--deterministic", action="store_true", help="the same bits on every run; slower on a GPU")
    add(
        "--cfg-options",
        nargs="+",
        metavar="KEY=VALUE",
        help="change values of the config, such as train_cfg.max_epochs=6 or "
        "custom_hooks.EarlyStoppingHook.patience=8 (an item of a list by its type)",
    )
    add("--launcher", choices=("none", "pytorch", "slurm", "mpi"), default="none")
    add("--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train, say what to run next."""
    from hpa_mmdet.compat.processes import leave_processes
    from hpa_mmdet.compat.shared_memory import loader_that_died

    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    try:
        runner = build_runner(args)
        runner.train()
        if runner.rank == 0:
            needs_masks = args.instances == "masks" or runner.cfg.model.type == "CropClassifier"
            print(f"next: {next_command(args, Path(runner.work_dir), needs_masks)}")
    except RuntimeError as error:
        died = loader_that_died(error)
        if died is None:
            raise
        raise died from error
    finally:
        leave_processes()
    return 0


main = partial(run_tool, build_parser, run)


def build_runner(args: argparse.Namespace) -> Any:
    """Read the config, apply the options, build mmengine's Runner.

    Raises:
        InputError: the config, an option or the work dir cannot be used.
    """
    from hpa_mmdet.compat import prepare

    prepare()
    from mmengine.registry import RUNNERS

    from hpa_mmdet.cli import train_options
    from hpa_mmdet.cli.train_depth import set_white_level
    from hpa_mmdet.compat.configs import apply_options, config_errors, parse_options, read_config

    config = read_config(args.config, args.data_root)
    apply_options(config, parse_options(args.cfg_options))
    train_options.check_parts(config, args.config)
    with config_errors(args.config):
        train_options.apply(config, args)
        train_options.check_annotation_files(config)
        depth = set_white_level(config)
    train_options.check_work_dir(Path(config.work_dir))
    with config_errors(args.config):
        runner = RUNNERS.build(config)
    if depth:
        runner.logger.info(depth)
    return runner


def next_command(args: argparse.Namespace, work_dir: Path, needs_masks: bool) -> str:
    """Say how to predict with what was trained; `needs_masks` where it finds no cells."""
    # what --cfg-options changed stands in the config that is kept beside the checkpoints
    config = work_dir / args.config.name if args.cfg_options else args.config
    pointer = work_dir / "last_checkpoint"
    newest = pointer.read_text(encoding="utf-8") if pointer.is_file() else "CHECKPOINT"
    cells = " --instances masks --masks MASKS" if needs_masks else ""
    files = shlex.join([str(config), newest])
    return f"python tools/infer.py {files} IMAGES{cells} --out DIR"
