"""Real pictures named from image labels: fitted heads against nearest neighbours.

Example:
    python benchmarks/bench_real_pixels.py --data DATA --work-dir work_dirs/real_pixels

DATA holds hpa_dictionary/ (images/<id>.jpg, labels_2018.csv), hpa_2018/ (green/<id>_green.png,
train.csv) and hpa_contest/ (train/<id>_<channel>.png, train.csv), or some of them. Only the
green channel is looked at; where blue is there, the built-in segmenter finds the cells with
it (and red, yellow). Pictures of green alone are cut into windows, which stand for cells.

Frozen EfficientNet-Lite0 features, pooled in the cells; the heads of the demo's config are
fitted on the other folds' pictures by the code that tools/train.py runs. Score: mean over the
classes of average precision of image labels, from pooled scores of cells. Ranges hold 95 % of
the resamples of pictures. All rows of a set use the same folds, which keep equal pictures
together. Features and scores are kept in the work dir; table.md is written there.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from real_pixel_data import SETS, Features, PictureSet, Preparation, features
from real_pixel_rows import (
    LAST_MAP,
    Fit,
    Scores,
    compare,
    fit_out_of_fold,
    folds_of,
    mean_of_cells,
    mix,
    nearest_right,
    retrieve,
)

from hpa_mmdet.compat import prepare
from hpa_mmdet.fit.feature_cache import join_caches
from hpa_mmdet.io.atomic import atomic_path

SHIPPED = Preparation("stored", 1.0)
HALF = tuple(Preparation(brightness, 0.5) for brightness in ("stored", "stretched", "root"))
RESOLUTIONS = (SHIPPED, Preparation("stored", 0.25))
BAG = {"type": "BagLoss", "pooling": "log_sum_exp"}  # as in the configs
FITS: dict[str, Fit] = {
    "bag loss": Fit(BAG),
    "inherited labels": Fit({"type": "InheritedLoss"}),
    "bag loss, coarsest map alone": Fit(BAG, coarsest=True),
}
HEAD = "| pictures | green channel | named by | mAP (95 %) | over nearest neighbour | first right |"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [source.name for source in SETS]
    add("--data", type=Path, required=True, help="folder of the sets")
    add("--sets", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    add("--work-dir", type=Path, default=Path("work_dirs/real_pixels"))
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of folds and fits")
    add("--resamples", type=int, default=200)
    add("--workers", type=int, default=1, help="threads")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.workers)
    prepare()
    started = time.monotonic()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    lines = [HEAD, "|---|---|---|---|---|---|"]
    for name, by_preparation in _collections(args):
        any_of_them = next(iter(by_preparation.values()))
        shape = (len(any_of_them.groups), int(any_of_them.truth().any(0).sum()))
        found = any_of_them.found
        print(f"{name}: {shape[0]} pictures, {shape[1]} classes, {found} cells found", flush=True)
        for how, of_set in by_preparation.items():
            lines += list(_rows(name, how, of_set, args))
    table = "\n".join(lines) + "\n"
    with atomic_path(args.work_dir / "table.md") as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s, of which {time.process_time():.0f} s at work")
    return 0


def _collections(
    args: argparse.Namespace,
) -> Iterator[tuple[str, dict[Preparation, Features]]]:
    """Each set that is large enough by itself, then all together."""
    found: list[dict[Preparation, Features]] = []
    for which in SETS:
        if which.name in args.sets and (args.data / which.name).is_dir():
            finest = (*RESOLUTIONS, *HALF) if _is_fine(which) else HALF
            found.append(features(which, args.data, finest, args.work_dir))
            if len(found[-1][HALF[0]].groups) >= 10:
                yield which.name, found[-1]
    if len(found) > 1:
        yield (
            "all together",
            {
                how: Features(
                    join_caches([source[how].cache for source in found]),
                    tuple(group for source in found for group in source[how].groups),
                    sum(source[how].found for source in found),
                )
                for how in HALF[:2]
            },
        )


def _is_fine(which: PictureSet) -> bool:
    """Resolutions are compared on the pictures of the dictionary, which are fine enough."""
    return which.name == "hpa_dictionary"


def _rows(name: str, how: Preparation, of_set: Features, args: argparse.Namespace) -> Iterator[str]:
    truth, cells = of_set.truth(), mean_of_cells(of_set.cache)
    folds = [folds_of(of_set, seed) for seed in args.seeds]
    base = [retrieve(cells[:, LAST_MAP], truth, fold) for fold in folds]
    rows: dict[str, list[Scores]] = {"nearest neighbour": base}
    rows["nearest neighbour, all maps"] = [retrieve(cells, truth, fold) for fold in folds]
    if how in HALF[:2]:
        for of_fit, fit in FITS.items():
            by_seed = [
                _fitted(name, how, of_fit, fit, of_set, fold_of, seed, args.work_dir)
                for seed, fold_of in enumerate(folds)
            ]
            for pooling in ("mean", "max", "image head"):
                label = "image head alone" if pooling == "image head" else f"{pooling} of the cells"
                rows[f"{of_fit}; {label}"] = [scores[pooling] for scores in by_seed]
            rows[f"{of_fit}; mean of the cells times likeness"] = [
                mix(scores["mean"], other) for scores, other in zip(by_seed, base, strict=True)
            ]
    for row, scores in rows.items():
        own, gain = compare(truth, scores, None if scores is base else base, args.resamples)
        difference = (
            "-" if scores is base else f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
        )
        yield (
            f"| {name} | {how} | {row} | {own.value:.3f} ({own.low:.3f} to {own.high:.3f}) "
            f"| {difference} | {nearest_right(truth, scores):.0%} |"
        )


def _fitted(
    name: str,
    how: Preparation,
    of_fit: str,
    fit: Fit,
    of_set: Features,
    fold_of: np.ndarray,
    seed: int,
    work_dir: Path,
) -> dict[str, Scores]:
    stem = f"scores {name} {how} {of_fit} {len(fold_of)} {seed}".replace(", ", "-").replace(
        " ", "_"
    )
    path = work_dir / f"{stem}.npz"
    if not path.is_file():
        start = time.process_time()
        scores = fit_out_of_fold(of_set.cache, fit, fold_of, seed)
        print(
            f"{name}, {how}, {of_fit}, seed {seed}: {time.process_time() - start:.0f} s", flush=True
        )
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{key.replace(" ", "_"): value for key, value in scores.items()})
    with np.load(path) as stored:
        return {key.replace("_", " "): stored[key] for key in stored.files}


if __name__ == "__main__":
    sys.exit(main())
