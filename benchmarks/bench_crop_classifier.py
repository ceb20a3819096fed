"""Crops of cells, tuned: the ladder of small networks, and weak against true labels.

Examples:
    python benchmarks/bench_crop_classifier.py ladder --seeds 0 1 2
    python benchmarks/bench_crop_classifier.py semi-real --layout DATA \
        --work-dir work_dirs/weak_labels
    python benchmarks/bench_crop_classifier.py speed --workers 2

`ladder` trains the seven configs ladder_*.py on synthetic cells with a true label of each
(share 0.7 of the cells show a label of their image) and prints, for each, parameters, time, and
the mean over the classes of average precision over training and test cells: by the labels of
their images, which the training fits, and by what the test cells show.

`semi-real` uses the images, splits and test cells of bench_weak_labels.py, in the same work dir:
crops tuned with inherited labels, with the best combination and with true labels of cells.
Where that benchmark left its features, the heads on frozen features are fitted too and
averaged in. Scores of each crop size are kept in crop_rows_<pixels>.json and
crop_table_<pixels>.md; a second call computes what is missing.

`speed` names the cells of one drawn image of 1024 pixels by the config's model, cutting them out
first, and prints crops per second of wall time and of processor time, in full and in half
precision. Where other programs share the cores, the second figure is the one to read.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from crop_classifier_data import Scored, make_store, predict_store, score_store
from crop_classifier_rows import CONFIGS, LADDER, ROWS, Row, train_row
from crop_classifier_tables import ladder_table, semi_real_table
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from weak_label_data import PARTS, load_splits, make_images
from weak_label_rows import ROWS as FROZEN_ROWS
from weak_label_rows import fit_row, predict

from hpa_mmdet.compat import prepare
from hpa_mmdet.compat.fused_norms import fuse_for_prediction
from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.scoring.resampling import class_average_precisions

LADDER_PX = 64


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("part", choices=("ladder", "semi-real", "speed"))
    add("--layout", type=Path, help="of semi-real: real outlines and label sets")
    add("--work-dir", type=Path, default=Path("work_dirs/crop_classifier"))
    add("--images", type=int, help="to train on (default: 100 of the ladder, 360 else)")
    add("--test-images", type=int, help="(default: 50 of the ladder, 120 else)")
    add("--size", type=int, default=640, help="of an image's longer side, in pixels")
    add("--crop-size", type=int, default=128, help="of semi-real, in pixels")
    add("--seeds", type=int, nargs="+", default=[0], help="each draws images of its own")
    add("--rows", nargs="+", metavar="NAME", help=f"some of: {', '.join(r.name for r in ROWS)}")
    add("--epochs", type=int, help="other than the config's")
    add("--workers", type=int, default=1, help="threads of torch, processes of synthesis")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.workers)
    prepare()
    if args.part == "speed":
        measure_speed()
        return 0
    started = time.monotonic()
    is_ladder = args.part == "ladder"
    args.images = args.images or (100 if is_ladder else 360)
    args.test_images = args.test_images or (50 if is_ladder else 120)
    args.share = None
    path = args.work_dir / ("ladder_rows.json" if is_ladder else f"crop_rows_{args.crop_size}.json")
    results: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    for seed in args.seeds:
        folder = args.work_dir / f"seed_{seed}"
        make_images(folder / "data", args, seed)
        for name, job in (_ladder if is_ladder else _semi_real)(args, folder, seed):
            if str(seed) in results.get(name, {}):
                continue
            start = time.process_time()
            result = {**job(), "cpu_seconds": round(time.process_time() - start)}
            results.setdefault(name, {})[str(seed)] = result
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(results, indent=1))
            print(
                f"{name}, seed {seed}: {result['map']:.3f} ({result['cpu_seconds']} s)", flush=True
            )
    table = ladder_table(results) if is_ladder else semi_real_table(results)
    with atomic_path(path.with_name(path.stem.replace("rows", "table") + ".md")) as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s, of which {time.process_time():.0f} s at work")
    return 0


def measure_speed() -> None:
    """Print crops per second of prediction; see the module."""
    init_default_scope("mmdet")
    MMLogger.get_current_instance().setLevel("WARNING")  # it lists every weight
    model: Any = MODELS.build(Config.fromfile(CONFIGS / "crop_lite0_bag-lse_cpu.py").model)
    model.init_weights()
    model.eval()
    fuse_for_prediction(model)  # as Predictor does
    rows, columns = np.mgrid[:1024, :1024]
    is_cell = np.hypot(rows % 128 - 64, columns % 128 - 64) < 14  # 64 discs of 27 pixels
    labels = np.where(is_cell, rows // 128 * 8 + columns // 128 + 1, 0)
    ids = np.arange(1, 65)
    sample = DetDataSample()
    sample.given_instances = InstanceData(
        bboxes=torch.zeros(len(ids), 4),
        masks=BitmapMasks((labels == ids[:, None, None]).astype(np.uint8), 1024, 1024),
    )
    image = torch.randint(0, 255, (4, 1024, 1024), dtype=torch.uint8)
    for precision in ("full", "half"):
        best = []
        for _ in range(5):
            wall, work = time.monotonic(), time.process_time()
            with torch.inference_mode(), torch.autocast("cpu", enabled=precision == "half"):
                model.test_step({"inputs": [image], "data_samples": [sample.clone()]})
            best.append((time.monotonic() - wall, time.process_time() - work))
        walls, works = zip(*best, strict=True)
        print(
            f"{precision} precision, {len(ids)} crops of 128 pixels, {torch.get_num_threads()} "
            f"threads: {len(ids) / min(walls):.0f} a second, {len(ids) / min(works):.0f} a second "
            "of processor time"
        )


Job = Callable[[], dict[str, Any]]


def _options(epochs: int | None) -> list[str]:
    if epochs is None:
        return []
    return [f"train_cfg.max_epochs={epochs}", f"param_scheduler.1.T_max={epochs}"]


def _ladder(args: argparse.Namespace, folder: Path, seed: int) -> list[tuple[str, Job]]:
    train, test = (make_store(folder / "data", split, LADDER_PX) for split in ("train", "test"))

    def job(name: str) -> dict[str, Any]:
        work_dir = folder / "runs" / name
        options = _options(args.epochs)
        config, checkpoint = train_row(
            Row(name, config=name), train, LADDER_PX, work_dir, seed, options
        )
        seen, unseen = (predict_store(config, checkpoint, store) for store in (train, test))
        model = MODELS.build(Config.fromfile(config).model)
        return {
            "map": unseen.mean_ap(),
            "train_image_map": seen.inherited_ap(),
            "test_image_map": unseen.inherited_ap(),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "losses": _losses(work_dir),
        }

    return [(name, lambda name=name: job(name)) for name in LADDER]  # type: ignore[misc]


def _losses(work_dir: Path) -> list[float]:
    """Mean training loss of each epoch."""
    by_epoch: dict[int, list[float]] = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "loss" in row and "epoch" in row:
                by_epoch.setdefault(int(row["epoch"]), []).append(float(row["loss"]))
    return [round(float(np.mean(by_epoch[epoch])), 3) for epoch in sorted(by_epoch)]


def _semi_real(args: argparse.Namespace, folder: Path, seed: int) -> list[tuple[str, Job]]:
    size = args.crop_size
    train, test = (make_store(folder / "data", split, size) for split in ("train", "test"))
    jobs: list[tuple[str, Job]] = []
    for row in ROWS:
        if args.rows and row.name not in args.rows:
            continue

        def tuned(row: Row = row) -> dict[str, Any]:
            work_dir = _run_folder(folder, row, size)
            config, checkpoint = train_row(row, train, size, work_dir, seed, _options(args.epochs))
            found = predict_store(config, checkpoint, test, turns=True)
            np.save(work_dir / "scores.npy", found.scores)
            return _result(found)

        def beside(row: Row = row) -> dict[str, Any]:
            work_dir = _run_folder(folder, row, size)
            frozen = _frozen(row.beside or row.name, folder, test, seed)
            np.save(work_dir / "frozen_scores.npy", frozen)
            return _result(score_store((np.load(work_dir / "scores.npy") + frozen) / 2, test))

        jobs.append((row.name, tuned))
        if all((folder / f"{part}.npz").is_file() for part in PARTS):
            jobs.append((f"{row.name}, averaged with frozen heads", beside))
    return jobs


def _run_folder(folder: Path, row: Row, size_px: int) -> Path:
    return folder / "runs" / f"{re.sub('[^a-z]+', '_', row.name)}_{size_px}"


def _result(found: Scored) -> dict[str, Any]:
    ap = class_average_precisions(found.shown, found.scores)[0]
    by_class = [None if np.isnan(value) else round(float(value), 4) for value in ap]
    return {"map": round(float(np.nanmean(ap)), 4), "ap": by_class}


def _frozen(name: str, folder: Path, store: Path, seed: int) -> NDArray[np.float64]:
    """Scores of a row of bench_weak_labels.py, in the order of a store's cells."""
    train, test = load_splits(folder)
    (row,) = (row for row in FROZEN_ROWS if row.name == name)
    scores = predict(fit_row(row, train, seed).localization, test.cells)
    images = np.repeat(np.array(test.cells.hpa_ids), test.cells.counts.numpy())
    assert test.cells.cell_ids is not None
    place = {
        key: at for at, key in enumerate(zip(images, test.cells.cell_ids.tolist(), strict=True))
    }
    known = CropStore(store)
    ids = [known.images.hpa_ids[image] for image in known.cells.images]
    order = [place[key] for key in zip(ids, known.cells.cell_ids.tolist(), strict=True)]
    return scores[order]


if __name__ == "__main__":
    assert CONFIGS.is_dir()
    sys.exit(main())
