r"""Relabel the cells of a data set by out-of-fold predictions within their image's labels.

Example:
    python tools/refine_labels.py configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py \
        data/train.json --out data/train_refined.json
    python tools/train.py configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_refined_demo.py ...

The heads of the config's model are fitted once per fold on the cells of the other folds,
with the config's own loss, and predict the fold's cells. A label that the image lacks is
never given, each label of the image goes to one cell at least, and a cell that shows none
becomes Negative. OUT is the JSON with other labels; OUT's .changes.csv says what changed,
and with --truth how many of the changes were right. A second round is the same command
with OUT in place of the JSON and a config that trains on single cells.

Exit status: 0 done; 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import add_groups, new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.outputs import OutputFiles


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    from mmengine.config import DictAction

    parser = new_parser("refine_labels", __doc__)
    add = parser.add_argument
    add("config", type=Path, help="a file of configs/, whose model and loss are used")
    add("json", type=Path, help="COCO JSON of the training set")
    add("--out", type=Path, required=True, help="COCO JSON to write")
    add("--images", type=Path, help="folder of the channel files (default: the JSON's)")
    add("--checkpoint", type=Path, help="weights (default: those that the config names)")
    add("--features", type=Path, metavar="FILE", help="keep the features here (.npz), or reuse")
    add("--folds", type=int, default=5, help="models that are fitted (default 5)")
    add_groups(parser, "images that share a fold, such as those of an antibody")
    add("--soft", action="store_true", help="write probabilities, not yes and no")
    add(
        "--assign",
        choices=("share", "probability"),
        default="probability",
        help="move the probabilities to the share of cells that each class is expected to "
        "have, or take them as they are (default: %(default)s)",
    )
    add("--truth", type=Path, metavar="CSV", help="ID,cell_id,cell_labels: count right changes")
    add("--seed", type=int, default=0, help="of folds and fits")
    add("--cfg-options", nargs="+", action=DictAction, help="key=value, override the config")
    add("--overwrite", action="store_true", help="replace --out of an earlier run")
    return parser


def run(args: argparse.Namespace) -> int:
    """Refine, print the table of changes."""
    for path in (args.config, args.json):
        if not path.is_file():
            raise InputError(path, "no file", "a file", "check the path")
    outputs = OutputFiles(
        "refine_labels",
        inputs=[
            args.config,
            args.json,
            args.images,
            args.checkpoint,
            args.groups and args.groups.table,
            args.truth,
        ],
        overwrite=args.overwrite,
    )
    for path in (args.out, args.out.with_suffix(".changes.csv")):
        outputs.claim(path)
    _refine(args, outputs)
    print(f"refined labels in {args.out}, changes in {args.out.with_suffix('.changes.csv')}")
    return 0


main = partial(run_tool, build_parser, run)


def _refine(args: argparse.Namespace, outputs: OutputFiles) -> None:
    from hpa_mmdet.compat import prepare

    prepare()
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import hpa_mmdet.datasets
    import hpa_mmdet.models  # noqa: F401
    from hpa_mmdet.localizations import LOCALIZATIONS
    from hpa_mmdet.refine.run import RefineOptions, refine

    init_default_scope("mmdet")
    options = RefineOptions(
        folds=args.folds,
        seed=args.seed,
        soft=args.soft,
        assign=args.assign,
        images=args.images,
        checkpoint=args.checkpoint,
        features=args.features,
        groups=args.groups,
        truth=args.truth,
    )
    config = Config.fromfile(args.config)
    if args.cfg_options:
        config.merge_from_dict(args.cfg_options)
    changes = refine(
        config,
        args.json,
        args.out,
        options,
        outputs,
        report=lambda fold: print(f"fold {fold + 1} of {args.folds} done", flush=True),
    )
    print(f"{'':18}{'before':>8}{'after':>8}{'removed':>9}{'right':>7}{'added':>8}{'right':>7}")
    for change in changes:
        if change.before or change.after:
            right = ["" if n is None else n for n in (change.removed_right, change.added_right)]
            print(
                f"{LOCALIZATIONS[change.hpa_index].short_name:18}{change.before:8}"
                f"{change.after:8}{change.removed:9}{right[0]:>7}{change.added:8}{right[1]:>7}"
            )
