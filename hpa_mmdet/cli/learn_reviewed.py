r"""Learn from the cells that were reviewed: one round of convert, fit and predict.

Example:
    python tools/learn_reviewed.py configs/mask_rcnn/hpa-mask-rcnn_lite1_fit-only_demo.py \
        data/train --masks work_dirs/masks --labels data/train.csv \
        --reviewed work_dirs/review/cells.csv --out work_dirs/review

The first round needs no table of --reviewed: it learns from the images' labels alone. Each call
makes the next folder OUT/round_1, OUT/round_2, ...: the data set with reviewed and inherited sets,
the fitted heads, and predictions for the same cells; the last line says how to choose cells to
look at. A call that was stopped makes its round again.

Exit status: 0 done; 1 done, but some images failed; 2 bad arguments or input.
"""

import argparse
import os
from functools import partial
from pathlib import Path

from hpa_mmdet.cli import infer, train
from hpa_mmdet.cli.entry import add_groups, new_parser, run_tool
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.plan import Sources
from hpa_mmdet.errors import InputError
from hpa_mmdet.refine.rounds import ReviewRound, next_number


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("learn_reviewed", __doc__)
    add = parser.add_argument
    add("config", type=Path, help="a config of configs/mask_rcnn")
    add("images", type=Path, help="folder of <id>_<channel>.png files")
    add("--masks", type=Path, required=True, help="folder of label images, one per id")
    add("--labels", type=Path, required=True, help="CSV of the images' labels, ID,Label")
    add("--reviewed", type=Path, required=True, help="CSV of reviewed cells; may not be there yet")
    add_groups(parser, "images that the fit keeps together, such as those of an antibody")
    add("--out", type=Path, required=True, help="folder of all rounds")
    add("--seed", type=int, help="random seed of the fit (default: the config's)")
    add("--workers", type=int, default=1, help="processes of the conversion (default: 1)")
    add("--cfg-options", nargs="+", metavar="KEY=VALUE", help="change values of the config")
    return parser


def run(args: argparse.Namespace) -> int:
    """Convert, fit, predict, say what to run next."""
    places = ("config", "images", "masks", "labels", "reviewed", "out")
    given = {place: str(getattr(args, place)) for place in places}
    groups = [str(word) for word in args.groups or ()]  # of a record in JSON
    made = ReviewRound(**given, number=next_number(args.out), groups=groups)
    data = made.folder / "data"
    print(f"learn_reviewed: round {made.number} in {made.folder}", flush=True)
    failures = _convert(args, data)
    fit = made.folder / "fit"
    words = [str(args.config), "--data-root", str(data), "--work-dir", str(fit)]
    words += ["--instances", "masks", *([] if args.seed is None else ["--seed", str(args.seed)])]
    words += ["--groups", *groups] if groups else []
    words += ["--cfg-options", *args.cfg_options] if args.cfg_options else []
    if (status := train.main(words)) != 0:
        return status
    config = fit / args.config.name if args.cfg_options else args.config
    words = [str(config), str(fit / "fitted.pth"), str(args.images)]
    words += ["--instances", "masks", "--masks", str(args.masks)]
    words += ["--out", str(made.predictions), "--overwrite"]
    status = infer.main(words)
    if status > 1:
        return status
    made.write()
    print(f"next: {made.choose_command()}")
    return max(status, int(failures > 0))


def _convert(args: argparse.Namespace, data: Path) -> int:
    """Write the round's data set; give the number of images that failed."""
    data.mkdir(parents=True, exist_ok=True)
    table = args.reviewed if args.reviewed.is_file() else None
    sources = Sources(args.masks, args.labels, args.images, table)
    report = convert(sources, data / "train.json", workers=args.workers, overwrite=True)
    print(report.summary(), flush=True)
    if not report.done:
        raise InputError(
            args.images, problem="no image could be converted", remedy="see the lines above"
        )
    link = data / "train"  # where configs look for the images
    if link.is_symlink():
        link.unlink()  # a stopped round may have had other images
    elif link.exists():
        raise InputError(link, problem="is in the way", remedy="move it, or give another --out")
    link.symlink_to(os.path.relpath(args.images.resolve(), data.resolve()))
    return len(report.failures)


main = partial(run_tool, build_parser, run)
