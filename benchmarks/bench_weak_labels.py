"""Which way of learning single cells from image labels wins, where the truth is known.

Example:
    python benchmarks/bench_weak_labels.py --layout DATA --work-dir work_dirs/weak_labels

Semi-real data (tools/synthesize.py --layout) hold proteins drawn into real outlines of
cells, with real label sets of cells and of images; train and test share no antibody. Each
row fits the localization heads of the demo's config on frozen features, by the code that
tools/train.py runs, and names the test cells, whose masks are given. Score: mean over the
classes of average precision over all test cells; several seeds. The share of the gap is
0 for inherited labels and 1 for training on the true labels of cells.

Everything is kept in the work dir: pictures, features, the scores of rows. A second call
computes what is missing. Writes table.md and rows.json there.
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
from weak_label_data import Split, features, make_images
from weak_label_rows import ROWS, Row, fit_and_score, inherited_scores, mean_ap, write_tables

from hpa_mmdet.compat import prepare
from hpa_mmdet.io.atomic import atomic_path


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--layout", type=Path, help="real outlines and label sets; without it --share's data")
    add("--share", type=float, help="controlled: share of cells that show each image label")
    add("--work-dir", type=Path, default=Path("work_dirs/weak_labels"))
    add("--images", type=int, default=360)
    add("--test-images", type=int, default=120)
    add("--size", type=int, default=640, help="of the longer side, in pixels")
    add("--seeds", type=int, default=3)
    add("--rows", nargs="+", metavar="NAME", help=f"some of: {', '.join(r.name for r in ROWS)}")
    add("--workers", type=int, default=1)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.workers)
    prepare()
    started = time.monotonic()
    data = args.work_dir / "data"
    make_images(data, args)
    train, test = features(data, args.work_dir)
    print(
        f"{len(train.cells.images)} training images, {len(train.cells.cells)} cells; "
        f"{len(test.cells.images)} test images, {len(test.cells.cells)} cells; "
        f"{time.monotonic() - started:.0f} s"
    )
    path = args.work_dir / "rows.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    results["without training"] = _without_training(test)
    for row in ROWS:
        if args.rows and row.name not in args.rows:
            continue
        for seed in range(args.seeds):
            if str(seed) not in results.get(row.name, {}):
                _run(row, seed, train, test, results)
                with atomic_path(path) as temporary:
                    temporary.write_text(json.dumps(results, indent=1))
    table = write_tables(results)
    with atomic_path(args.work_dir / "table.md") as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s")
    return 0


def _run(row: Row, seed: int, train: Split, test: Split, results: dict[str, Any]) -> None:
    start = time.monotonic()
    ap = fit_and_score(row, train, test, seed)
    seconds = time.monotonic() - start
    entry = {"ap": [None if np.isnan(each) else round(float(each), 4) for each in ap]}
    results.setdefault(row.name, {})[str(seed)] = {**entry, "seconds": round(seconds, 1)}
    print(f"{row.name:34} seed {seed}: {mean_ap(ap):.3f} ({seconds:.0f} s)", flush=True)


def _without_training(test: Split) -> dict[str, float]:
    truth = test.truth()
    frequency = truth.mean(0)[truth.any(0)].mean()
    return {"training frequencies": round(float(frequency), 4), **inherited_scores(test)}


if __name__ == "__main__":
    sys.exit(main())
