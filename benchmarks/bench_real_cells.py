"""Real cells with a label of each: frozen heads, tuned crops, and both together.

Example:
    python benchmarks/bench_real_cells.py --data DATA/hpa_cells --work-dir work_dirs/real/cells

DATA/hpa_cells holds mosaics of real cells, nine to an image, all of one localization
(images/<id>_<channel>.jpg, masks/, images.csv). Each mosaic is left out in turn: the heads of
hpa-mask-rcnn_lite0_fit-only_demo.py are fitted on the features of the others, and
crop_lite0_few-cells.py is tuned on their crops; both name the cells of the mosaic that is left
out. Score: mean over the classes of average precision over all cells. Where a class has
two mosaics, one alone is left to learn it from, so this is harder than new cells of all.

Runs are kept in the work dir; a second call computes what is missing. Writes table.md there.
"""

import argparse
import contextlib
import io
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from crop_classifier_data import CHANNELS, Scored, predict_cells
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from numpy.typing import NDArray

import hpa_mmdet.datasets
import hpa_mmdet.models  # noqa: F401
from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.cli.train import main as train
from hpa_mmdet.compat import prepare
from hpa_mmdet.crops.extract import extract_crops
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.sources import SourceOptions
from hpa_mmdet.crops.store import HEADER, CropStore
from hpa_mmdet.datasets import CropBagDataset
from hpa_mmdet.fit.feature_cache import FeatureCache, cache_features, load_cache, save_cache
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.inference.model_files import load_model
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.scoring.resampling import class_average_precisions

CONFIGS = Path(__file__).parents[1] / "configs"
FROZEN = CONFIGS / "mask_rcnn/hpa-mask-rcnn_lite0_fit-only_demo.py"
TUNED = CONFIGS / "crops/crop_lite0_few-cells.py"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with images/, masks/, images.csv")
    add("--work-dir", type=Path, default=Path("work_dirs/real/cells"))
    add("--crop-size", type=int, default=128, help="in pixels")
    add("--epochs", type=int, help="of tuning, other than the config's")
    add("--workers", type=int, default=1, help="threads")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.workers)
    prepare()
    started = time.monotonic()
    store = _prepare(args)
    known = CropStore(store)
    count = len(known.images.hpa_ids)
    features = _features(args)
    scores = {name: np.zeros((len(known), len(LOCALIZATIONS))) for name in ("frozen", "tuned")}
    for fold in range(count):
        rows, tuned = _tuned(args, store, fold, count)
        scores["tuned"][rows] = tuned
        frozen = _frozen(
            features, sorted({known.images.hpa_ids[known.cells.images[r]] for r in rows})
        )
        scores["frozen"][rows] = [frozen[int(known.cells.cell_ids[row])] for row in rows]
        print(f"mosaic {fold + 1} of {count}: {time.monotonic() - started:.0f} s", flush=True)
    table = _table(scores, known)
    with atomic_path(args.work_dir / "table.md") as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s, of which {time.process_time():.0f} s at work")
    return 0


def _prepare(args: argparse.Namespace) -> Path:
    """Convert the mosaics and cut their cells, once."""
    annotations = args.work_dir / "train.json"
    if not annotations.is_file():
        arguments = [
            str(args.data / "images"), "--pattern", "{id}_{channel}.jpg",
            "--masks", str(args.data / "masks"), "--labels", str(args.data / "images.csv"),
            "--out", str(annotations),
        ]  # fmt: skip
        if convert(arguments) != 0:
            raise SystemExit("bench_real_cells: the images were not converted, see above")
    store: Path = args.work_dir / f"train_crops_{args.crop_size}"
    if not (store / HEADER).is_file():
        options = CropOptions(channels=CHANNELS, size_px=args.crop_size)
        extract_crops(SourceOptions(annotations, images=args.data / "images"), store, options)
    return store


def _tuned(
    args: argparse.Namespace, store: Path, fold: int, count: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Places of the cells that are left out, and their scores."""
    work_dir = args.work_dir / f"tuned_{args.crop_size}" / f"fold_{fold}"
    folds = {"folds": count, "fold": fold, "store": store, "crop.size_px": args.crop_size}
    loaders = ("train_dataloader.dataset", "train_cfg.fit.dataloader.dataset")
    options = [f"{loader}.{key}={value}" for loader in loaders for key, value in folds.items()]
    options += [
        f"model.data_preprocessor.crop.size_px={args.crop_size}",
        f"visualizer.name=run_{secrets.token_hex(4)}",
    ]
    if args.epochs is not None:
        options += [f"train_cfg.max_epochs={args.epochs}", f"param_scheduler.1.T_max={args.epochs}"]
    if not (work_dir / "fitted.pth").is_file():
        with contextlib.redirect_stdout(io.StringIO()):
            status = train([str(TUNED), "--work-dir", str(work_dir), "--cfg-options", *options])
        if status != 0:
            raise SystemExit("bench_real_cells: a fold was not trained, see above")
    left_out = CropBagDataset(str(store), folds=count, fold=fold, held_out=True)
    model = load_model(work_dir / TUNED.name, work_dir / "fitted.pth").model
    return left_out.crops, predict_cells(model, left_out, turns=True)


def _features(args: argparse.Namespace) -> FeatureCache:
    """Features of the frozen branch, once."""
    path = args.work_dir / "features.npz"
    if not path.is_file():
        init_default_scope("mmdet")
        MMLogger.get_current_instance().setLevel("WARNING")  # it lists every weight
        set_random_seed(0)
        config = Config.fromfile(FROZEN)
        model = MODELS.build(config.model)
        model.init_weights()
        loader = config.fit_dataloader.to_dict()
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        loader["dataset"]["ann_file"] = str(args.work_dir / "train.json")
        loader["dataset"]["data_prefix"] = {"img": str(args.data / "images")}
        save_cache(path, cache_features(model, Runner.build_dataloader(loader, seed=0)))
    return load_cache(path)


def _frozen(cache: FeatureCache, left_out: Sequence[str]) -> dict[int, NDArray[np.float64]]:
    """Scores of the cells of the images that are left out, by cell id."""
    is_out = torch.tensor([name in left_out for name in cache.hpa_ids])
    torch.manual_seed(0)
    model: Any = MODELS.build(Config.fromfile(FROZEN).model)
    fit_heads(model, cache.select((~is_out).nonzero()[:, 0]))
    held = cache.select(is_out.nonzero()[:, 0])
    assert held.cell_ids is not None
    found: dict[int, NDArray[np.float64]] = {}
    bags = zip(held.cells.split(held.counts.tolist()), held.images, strict=True)
    ids = held.cell_ids.split(held.counts.tolist())
    with torch.inference_mode():
        for (cells, image), cell_ids in zip(bags, ids, strict=True):
            scores = model.localization.predict(cells, image)[0].double().numpy()
            found |= dict(zip(cell_ids.tolist(), scores, strict=True))
    return found


def _table(scores: dict[str, NDArray[np.float64]], store: CropStore) -> str:
    shown = store.cells.localizations > 0
    rows = {
        "frozen heads": scores["frozen"],
        "tuned crops": scores["tuned"],
        "both": (scores["frozen"] + scores["tuned"]) / 2,
    }
    present = [one for one in LOCALIZATIONS if shown[:, one.hpa_index].any()]
    lines = [f"| named by | mAP | {' | '.join(one.name for one in present)} |"]
    lines.append("|---|---|" + "---|" * len(present))
    for name, values in rows.items():
        found = Scored(values, shown, shown)
        ap = class_average_precisions(shown, values)[0]
        classes = " | ".join(f"{ap[one.hpa_index]:.2f}" for one in present)
        lines.append(f"| {name} | {found.mean_ap():.3f} | {classes} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
