"""Which way of learning single cells from image labels wins, where the truth is known.

Example:
    python benchmarks/bench_weak_labels.py --layout DATA --work-dir work_dirs/weak_labels

Semi-real data (tools/synthesize.py --layout) hold proteins drawn into real outlines of
cells, with real label sets of cells and of images. For each seed the antibodies are parted
anew into a half to train on and a half to test on, images are drawn, and each row fits the
localization heads of the demo's config on frozen features, by the code that tools/train.py
runs, and names the test cells, whose masks are given. Score: mean over the classes of
average precision over all test cells. The share of the gap is 0 for inherited labels and 1
for training on the true labels of cells.

Everything is kept in the work dir: pictures, features, the scores of rows. A second call
computes what is missing. Writes table.md and rows.json there.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from weak_label_data import PARTS, Split, add_data_arguments, compute_part, load_splits, make_images
from weak_label_rows import ROWS, fit_and_score, inherited_scores, mean_ap
from weak_label_tables import write_tables

from hpa_mmdet.compat import prepare
from hpa_mmdet.io.atomic import atomic_path

UNTRAINED = "without training"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add_data_arguments(parser)
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0, 1, 2],
        help="each draws images of its own halves",
    )
    add("--rows", nargs="+", metavar="NAME", help=f"some of: {', '.join(r.name for r in ROWS)}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    started = time.monotonic()
    folders = {seed: args.work_dir / f"seed_{seed}" for seed in args.seeds}
    for seed, folder in folders.items():
        make_images(folder / "data", args, seed)
    print(f"images: {time.monotonic() - started:.0f} s", flush=True)
    path = args.work_dir / "rows.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    names = [row.name for row in ROWS if not args.rows or row.name in args.rows]
    # forked processes would share torch's threads
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.workers, context, initializer=_start) as pool:
        parts = [
            pool.submit(compute_part, folder, part) for folder in folders.values() for part in PARTS
        ]
        for part in parts:
            part.result()
        print(f"features: {time.monotonic() - started:.0f} s", flush=True)
        jobs = {
            pool.submit(_run, name, seed, folder): (name, seed)
            for name in [UNTRAINED, *names]
            for seed, folder in folders.items()
            if str(seed) not in results.get(name, {})
        }
        for job in as_completed(jobs):
            name, seed = jobs[job]
            results.setdefault(name, {})[str(seed)] = job.result()
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(results, indent=1))
            if name != UNTRAINED:
                ap, seconds = job.result()["ap"], job.result()["seconds"]
                score = mean_ap(np.array(ap, dtype=float))
                print(f"{name:58} seed {seed}: {score:.3f} ({seconds:.0f} s)", flush=True)
    table = write_tables(results, UNTRAINED)
    with atomic_path(args.work_dir / "table.md") as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s")
    return 0


def _start() -> None:
    torch.set_num_threads(1)
    prepare()


_load = cache(load_splits)


def _run(name: str, seed: int, folder: Path) -> dict[str, Any]:
    train, test = _load(folder)
    if name == UNTRAINED:
        return _without_training(test)
    start = time.monotonic()
    (row,) = (row for row in ROWS if row.name == name)
    ap, note = fit_and_score(row, train, test, seed)
    scores = [None if np.isnan(score) else round(float(score), 4) for score in ap]
    return {"ap": scores, "seconds": round(time.monotonic() - start, 1), **note}


def _without_training(test: Split) -> dict[str, float]:
    truth = test.truth()
    frequency = truth.mean(0)[truth.any(0)].mean()
    return {"training frequencies": round(float(frequency), 4), **inherited_scores(test)}


if __name__ == "__main__":
    sys.exit(main())
