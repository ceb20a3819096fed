"""What a few reviewed cells beside image labels are worth, and which cells should be looked at.

Example:
    python benchmarks/bench_reviewed_cells.py --layout DATA --work-dir work_dirs/weak_labels

The images, halves and test cells are those of bench_weak_labels.py, in the same work dir. A
scripted reviewer reads the truth of the chosen training cells; all other training cells have
the labels of their image. The heads are fitted on frozen features as tools/train.py fits them,
and name the cells of the other antibodies, whose masks are given; how much an image's evidence
counts is chosen on images of antibodies that the heads did not learn from (--no-groups: on any
images that they did not learn from). Score: mean over the classes of
average precision over all test cells. The share of the gap is 0 for inherited labels and 1 for
training on the true labels of all cells.

The scores of points are kept in the work dir, in reviewed.json; a call that was stopped goes on,
and a second call computes what is missing. Writes reviewed.md and, with --plot, a plot.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reviewed_cell_fits import ALONE, REFERENCES, WEAK, Bench, Point
from reviewed_cell_tables import plot_curves, write_tables
from weak_label_data import PARTS, add_data_arguments, compute_part, load_splits, make_images

from hpa_mmdet.compat import prepare
from hpa_mmdet.io.atomic import atomic_path

RARE = (5, 11, 17)  # Nuclear bodies, Mitotic spindle, Vesicles
_RARE_CELLS = 20


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add_data_arguments(parser)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--ways", nargs="+", default=["random", "class", "unsure", "different"])
    add("--numbers", type=int, nargs="+", default=[25, 50, 100, 200, 500, 1000])
    add("--alone", type=int, nargs="*", default=[50, 200, 500, 1000], help="numbers without bags")
    add("--errors", type=float, nargs="*", default=[0.05, 0.1], help="of the reviewer")
    add("--errors-at", type=int, nargs="*", default=[200, 500], help="numbers to try them at")
    add("--rare", type=int, nargs="*", default=list(RARE), help="classes to look for 20 cells of")
    add("--no-groups", action="store_true", help="fit as without tools/learn_reviewed.py --groups")
    add("--plot", type=Path, metavar="SVG")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(1)
    prepare()
    name = "reviewed_no_groups" if args.no_groups else "reviewed"
    path = args.work_dir / f"{name}.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    started = time.monotonic()
    for seed in args.seeds:
        folder = args.work_dir / f"seed_{seed}"
        make_images(folder / "data", args, seed)
        for part in PARTS:
            compute_part(folder, part)
        bench = Bench(*load_splits(folder), seed, with_groups=not args.no_groups)
        for point in points(args):
            if str(seed) in results.get(point.key, {}):
                continue
            start = time.monotonic()
            ap = bench.score(point)
            known = [None if np.isnan(value) else round(float(value), 4) for value in ap]
            seconds = round(time.monotonic() - start, 1)
            results.setdefault(point.key, {})[str(seed)] = {"ap": known, "seconds": seconds}
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(results, indent=1))
            print(f"{point.key:24} seed {seed}: {np.nanmean(ap):.4f} ({seconds} s)", flush=True)
    table = write_tables(results)
    with atomic_path(args.work_dir / f"{name}.md") as temporary:
        temporary.write_text(table)
    print(table)
    if args.plot is not None:
        plot_curves(results, args.plot)
    print(f"{time.monotonic() - started:.0f} s")
    return 0


def points(args: argparse.Namespace) -> Iterator[Point]:
    """All points, those that matter most first."""
    yield from (Point(name) for name in REFERENCES)
    yield Point(WEAK)
    for number in sorted(args.numbers, key=lambda number: (number not in (200, 500), number)):
        yield from (Point(way, number) for way in args.ways)
    yield from (Point(ALONE, number) for number in args.alone)
    yield from (Point("random", at, error) for error in args.errors for at in args.errors_at)
    yield from (Point(f"class {k}", _RARE_CELLS) for k in args.rare)


if __name__ == "__main__":
    sys.exit(main())
