r"""What the localization head should see, one choice changed at a time.

Example:
    python benchmarks/bench_head_input.py --layout DATA --work-dir work_dirs/head_input \
        --checkpoint work_dirs/demo/train/epoch_2.pth

Semi-real data (tools/synthesize.py --layout), as for bench_weak_labels.py; --data takes
images that were drawn before. Each row changes one thing of the demo's config: pooling,
levels, resolution, channels, weights. The heads are fitted twice by the code that
tools/train.py runs: with the config's loss, from image labels, and with true labels of
cells, which shows what the features hold. Score: mean over the classes of average precision
over the test cells, whose masks are given; several seeds of the fit.

Features are kept in the work dir, one file for each network, pooling and half. A second
call computes what is missing. Writes table.md and rows.json there.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from head_input_data import ALL, CONFIG, Source, columns, features

from hpa_mmdet.compat import prepare
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.models.localization_branch import LocalizationBranch
from hpa_mmdet.scoring.resampling import class_average_precisions, mean_of_known

LEVELS = (4, 8, 16, 32)
SAME = Source("green")


@dataclass(frozen=True)
class Row:
    """One choice; every argument is the default's unless said otherwise."""

    name: str
    source: Source = SAME
    pooling: str = "mask"
    levels: tuple[int, ...] = LEVELS
    kinds: tuple[str, ...] = ("mean", "max")


ROWS: tuple[Row, ...] = (
    Row("the default"),
    Row("pooled in the box", pooling="box"),
    Row("mean only", kinds=("mean",)),
    Row("maximum only", kinds=("max",)),
    Row("without stride 4", levels=(8, 16, 32)),
    Row("without stride 8", levels=(4, 16, 32)),
    Row("without stride 16", levels=(4, 8, 32)),
    Row("without stride 32", levels=(4, 8, 16)),
    Row("with the stem, stride 2", levels=(2, *LEVELS)),
    Row("half the resolution", Source("green_half", scale=0.5)),
    Row("twice the resolution (interpolated)", Source("green_double", scale=2.0)),
    Row("all four channels", Source("all", ALL)),
    Row("random weights", Source("green_random", weights="random")),
    Row("all four channels, half the resolution", Source("all_half", ALL, 0.5)),
    Row("the same, weights tuned by the detector", Source("all_tuned", ALL, 0.5, "detector")),
)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--layout", type=Path, help="real outlines and label sets, to draw from")
    given.add_argument("--data", type=Path, help="images that tools/synthesize.py has drawn")
    add("--checkpoint", type=Path, help="of a trained detector, for the last row")
    add("--work-dir", type=Path, default=Path("work_dirs/head_input"))
    add("--images", type=int, default=120)
    add("--test-images", type=int, default=80)
    add("--size", type=int, default=640, help="of the longer side, in pixels, with --layout")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--rows", nargs="+", metavar="NAME", help=f"some of: {', '.join(r.name for r in ROWS)}")
    add("--workers", type=int, default=1)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.workers)
    prepare()
    started = time.monotonic()
    args.work_dir.mkdir(parents=True, exist_ok=True)
    data = args.data or _draw(args)
    path = args.work_dir / "rows.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    for row in _rows(args):
        missing = [s for s in args.seeds if str(s) not in results.get(row.name, {})]
        if not missing:
            continue
        sizes = {"train": args.images, "test": args.test_images}
        train, test = (
            _input(row, split, data, args.work_dir, count, args.checkpoint)
            for split, count in sizes.items()
        )
        for seed in missing:
            scores = {kind: _fit_and_score(loss, train, test, seed) for kind, loss in _losses()}
            results.setdefault(row.name, {})[str(seed)] = scores
            print(f"{row.name:40} seed {seed}: {scores}", flush=True)
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(results, indent=1))
    table = write_table(results)
    with atomic_path(args.work_dir / "table.md") as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s, of which {time.process_time():.0f} s at work")
    return 0


def write_table(results: Mapping[str, Any]) -> str:
    """Rows in Markdown: mean over the seeds, and their spread."""
    lines = ["| input | image labels | spread | true labels | spread |", "|---|---|---|---|---|"]
    for row in ROWS:
        if row.name in results:
            of_seeds = results[row.name].values()
            cells = [np.array([scores[kind] for scores in of_seeds]) for kind in ("image", "cell")]
            numbers = " | ".join(f"{values.mean():.3f} | {np.ptp(values):.3f}" for values in cells)
            lines.append(f"| {row.name} | {numbers} |")
    return "\n".join(lines) + "\n"


def _rows(args: argparse.Namespace) -> list[Row]:
    chosen = [row for row in ROWS if not args.rows or row.name in args.rows]
    if args.checkpoint is None:
        print("without --checkpoint the row of the detector's weights is left out")
        chosen = [row for row in chosen if row.source.weights != "detector"]
    return chosen


def _draw(args: argparse.Namespace) -> Path:
    from weak_label_data import make_images

    data: Path = args.work_dir / "data"
    args.share = None
    make_images(data, args)
    return data


def _input(
    row: Row, split: str, data: Path, work_dir: Path, count: int, checkpoint: Path | None
) -> FeatureCache:
    cache = features(row.source, split, data, work_dir, count, checkpoint)[row.pooling]
    chosen = columns(row.levels, row.kinds)
    return cache._replace(cells=cache.cells[:, chosen], images=cache.images[:, chosen])


def _losses() -> list[tuple[str, dict[str, Any]]]:
    from mmengine.config import Config

    default = Config.fromfile(CONFIG).model.localization.loss.to_dict()
    return [("image", default), ("cell", {"type": "CellLoss"})]


def _fit_and_score(
    loss: Mapping[str, Any], train: FeatureCache, test: FeatureCache, seed: int
) -> float:
    torch.manual_seed(seed)
    branch = LocalizationBranch(train.cells.shape[1], dict(loss)).eval()
    fit_heads(SimpleNamespace(localization=branch), train, seed=seed)
    assert test.cell_targets is not None
    bags = zip(test.cells.split(test.counts.tolist()), test.images, strict=True)
    with torch.no_grad():
        scores = torch.cat([branch.predict(*bag)[0] for bag in bags]).double().numpy()
    ap = class_average_precisions(test.cell_targets.numpy() > 0, scores)[0]
    return round(mean_of_known(ap), 4)


if __name__ == "__main__":
    sys.exit(main())
