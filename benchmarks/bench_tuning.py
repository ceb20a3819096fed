"""From how many images on tuning the network that names cells beats its frozen features.

Example:
    python benchmarks/bench_tuning.py --layout DATA --work-dir work_dirs/tuning

Semi-real data (tools/synthesize.py --layout) hold proteins drawn into real outlines of cells, with
real label sets of cells and of images. For each seed the antibodies are parted anew into a half
to train on and a half to test on, images are drawn small, and of the first half's so many are
taken as --sizes says, a larger number having the same and more. Each row is a run of
tools/train.py with --instances masks:

    frozen                    the demo's config: heads on frozen features of all these images
    frozen, images kept back  the same of nine tenths of them (split_coco, by antibody), which is
                              what tuning starts from
    tuned                     hpa-mask-rcnn_lite0_fit-then-tune_demo.py, which judges itself by the
                              labels of the other tenth
    both frozen, averaged     the mean of the first two rows' scores; nothing is trained for it
    frozen and tuned, averaged   the same of the first and the third

and names the test cells, whose masks are given. Score: mean over the classes of average precision
over all test cells.

Everything is kept in the work dir. A second call computes what is missing. Writes tuning.json
and tuning.md there.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tuning_runs import ROWS, draw_subset, name_cells
from tuning_tables import write_tables
from weak_label_data import add_data_arguments, make_images

from hpa_mmdet.compat import prepare
from hpa_mmdet.io.atomic import atomic_path


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_arguments(parser)
    parser.set_defaults(work_dir=Path("work_dirs/tuning"), images=1000, size=256, workers=1)
    add = parser.add_argument
    add("--seeds", type=int, nargs="+", default=[0], help="each draws images of its own halves")
    add("--sizes", type=int, nargs="+", default=[100, 360, 1000], help="of at most --images")
    add("--val-share", type=float, default=0.1, help="of the images, kept back by tuning")
    add("--rows", nargs="+", metavar="NAME", help=f"some of: {', '.join(r.name for r in ROWS)}")
    add("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="of the configs")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.workers)
    prepare()
    path = args.work_dir / "tuning.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    started = time.monotonic()
    rows = [row for row in ROWS if not args.rows or row.name in args.rows]
    points = [
        (seed, size, row) for seed in args.seeds for size in sorted(args.sizes) for row in rows
    ]
    for seed, size, row in points:
        known = results.setdefault(row.name, {}).setdefault(str(size), {})
        if str(seed) in known:
            continue
        folder = args.work_dir / f"seed_{seed}"
        make_images(folder / "data", args, seed)
        root = draw_subset(folder / "data", folder, size, seed, args.val_share)
        start = time.process_time()
        named = name_cells(row, root, folder / "data", seed, args.cfg_options)
        seconds, ap = time.process_time() - start, named.ap()
        known[str(seed)] = {
            "ap": [None if np.isnan(value) else round(float(value), 4) for value in ap],
            "core_seconds": round(seconds, 1),
            "kept_epoch": named.epoch,
        }
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(results, indent=1))
        print(
            f"{row.name:24} {size:5} images, seed {seed}: {np.nanmean(ap):.4f} "
            f"({seconds:.0f} s of a core)",
            flush=True,
        )
    table = write_tables(results)
    with atomic_path(args.work_dir / "tuning.md") as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
