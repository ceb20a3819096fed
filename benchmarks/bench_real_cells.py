"""Real cells with a label of each: heads on the detector's features, on crops', and both together.

Example:
    python benchmarks/bench_real_cells.py --data DATA/hpa_cells --work-dir work_dirs/real/cells

DATA/hpa_cells holds mosaics of real cells, nine to an image, all of one localization
(images/<id>_<channel>.jpg, masks/, images.csv). The heads of hpa-mask-rcnn_lite1_fit-only_demo.py
and of crop_lite1_few-cells.py are fitted on the features that tools/train.py would fit them on, and
name the cells that were left out, in two ways:

    places    the cell at one place of every mosaic, nine times; of the heads' nine sets of answers
              the whole mosaics are put together. As new cells of the same kind, but for the image
              heads, which would have seen the cells that are left out and are not asked
    mosaics   one mosaic, eleven times. A class with two mosaics is learnt from one; and each set of
              heads takes the class that it was robbed of for rarer than the others do, which mixes
              up the ranks of cells of different sets

Score: mean over the classes of average precision over all cells; "alone" each cell by itself, then
weighed by its image's other cells (and by the image head, of mosaics) as the configs say. A mosaic
holds one class only, so these say more than in most real images.

--network names the cells by another one of the packaged networks than the configs have (lite1).
--tuned EPOCHS tunes the network on crops, too, each mosaic left out once, as does 0: on one view,
the protein alone, of frozen features.

Features are kept in the work dir. Writes table.md there.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from numpy.typing import NDArray
from real_cells_tuned import name_tuned
from torch import Tensor

import hpa_mmdet.datasets
import hpa_mmdet.models  # noqa: F401
from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.compat import prepare
from hpa_mmdet.crops.extract import extract_crops
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.sources import SourceOptions
from hpa_mmdet.crops.store import HEADER
from hpa_mmdet.fit.feature_cache import FeatureCache, cache_features, load_cache, save_cache
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.models.pretrained import PACKAGED
from hpa_mmdet.scoring.resampling import class_average_precisions, mean_of_known

CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = {
    "detector's heads": CONFIGS / "mask_rcnn/hpa-mask-rcnn_lite1_fit-only_demo.py",
    "crops": CONFIGS / "crops/crop_lite1_few-cells.py",
}
CHANNELS = ("red", "green", "blue", "yellow", "mask")
SIZE_PX = 128
LEFT_OUT = ("places", "mosaics")


class Answers(NamedTuple):
    """Scores of all cells, (N, K), in the order of the cache: each alone, and weighed."""

    alone: NDArray[np.float64]
    weighed: NDArray[np.float64]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with images/, masks/, images.csv")
    add("--work-dir", type=Path, default=Path("work_dirs/real/cells"))
    add(
        "--network", choices=list(PACKAGED), default="lite1", help="whose features (default: lite1)"
    )
    add("--tuned", type=int, nargs="+", default=[], metavar="EPOCHS", help="rows of tuned crops")
    add("--workers", type=int, default=1, help="threads")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.workers)
    prepare()
    init_default_scope("mmdet")
    MMLogger.get_current_instance().setLevel("WARNING")  # it lists every weight
    started = time.monotonic()
    _convert(args)
    lines: list[str] = []
    for left_out in LEFT_OUT:
        found: dict[str, Answers] = {}
        for name, config in KINDS.items():
            cache = _features(args, config)
            found[name] = _name_left_out(cache, _config(config, args.network), left_out)
            print(f"{left_out}, {name}: {time.monotonic() - started:.0f} s", flush=True)
        found["both"] = Answers(
            *(np.mean(part, axis=0) for part in zip(*found.values(), strict=True))
        )
        if left_out == "mosaics":
            for epochs in args.tuned:
                store = args.work_dir / "train_crops"
                answers = Answers(*name_tuned(store, args.work_dir / "tuned", args.network, epochs))
                found[f"crops, one view, {epochs} epochs of tuning"] = answers
                print(f"{epochs} epochs: {time.monotonic() - started:.0f} s", flush=True)
        lines += _rows(found, left_out, cache)
    table = "\n".join(lines) + "\n"
    with atomic_path(args.work_dir / "table.md") as temporary:
        temporary.write_text(table)
    print(table)
    print(f"{time.monotonic() - started:.0f} s, of which {time.process_time():.0f} s at work")
    return 0


def _convert(args: argparse.Namespace) -> None:
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
    store = args.work_dir / "train_crops"
    if not (store / HEADER).is_file():
        options = CropOptions(channels=CHANNELS, size_px=SIZE_PX)
        extract_crops(SourceOptions(annotations, images=args.data / "images"), store, options)


def _config(path: Path, network: str) -> Config:
    """Read a config whose cells are named by a network; all packaged ones have maps as wide."""
    config = Config.fromfile(path)
    localization = config.model.localization
    backbone = localization.backbone if "backbone" in localization else config.model.backbone
    backbone.model_name, backbone.weights = PACKAGED[network].model_name, network
    return config


def _features(args: argparse.Namespace, path: Path) -> FeatureCache:
    """Features of the cells as a config describes them, once."""
    kept: Path = args.work_dir / f"{path.stem}_{args.network}.npz"
    if not kept.is_file():
        set_random_seed(0)
        config = _config(path, args.network)
        model = MODELS.build(config.model)
        model.init_weights()
        loader = config.fit_dataloader.to_dict()
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        if "store" in loader["dataset"]:
            loader["dataset"]["store"] = str(args.work_dir / "train_crops")
        else:
            loader["dataset"]["ann_file"] = str(args.work_dir / "train.json")
            loader["dataset"]["data_prefix"] = {"img": str(args.data / "images")}
        save_cache(kept, cache_features(model, Runner.build_dataloader(loader, seed=0)))
    return load_cache(kept)


def _name_left_out(cache: FeatureCache, config: Config, left_out: str) -> Answers:
    """Name every cell by heads that were fitted without it."""
    options = {
        name: value
        for name, value in config.train_cfg.fit.to_dict().items()
        if name not in ("dataloader", "more_dataloaders")
    }
    probs = torch.zeros(len(cache.cells), len(LOCALIZATIONS))
    images = torch.ones(len(cache.counts), len(LOCALIZATIONS))
    for without, cells, image in _folds(cache, left_out):
        torch.manual_seed(0)
        model: Any = MODELS.build(config.model)
        fit_heads(model, without, **options)
        branch = model.localization
        with torch.inference_mode():
            probs[cells] = branch.cell_head.probabilities(cache.cells[cells])
            if image is not None:
                images[image] = branch.image_head.probabilities(cache.images[image][None])[0]
    a, b = branch.exponents()
    a = a if left_out == "mosaics" else 0.0
    bags = list(zip(probs.split(cache.counts.tolist()), images, strict=True))
    return Answers(
        torch.cat([branch.weigh(*bag, 0.0, 0.0) for bag in bags]).double().numpy(),
        torch.cat([branch.weigh(*bag, a, b) for bag in bags]).double().numpy(),
    )


def _folds(cache: FeatureCache, left_out: str) -> Iterator[tuple[FeatureCache, Tensor, int | None]]:
    """Give what is learnt from, places of the cells that are left out, and their image."""
    image_of = torch.repeat_interleave(torch.arange(len(cache.counts)), cache.counts)
    assert cache.cell_ids is not None
    if left_out == "mosaics":
        for image in range(len(cache.counts)):
            others = (torch.arange(len(cache.counts)) != image).nonzero()[:, 0]
            yield cache.select(others), (image_of == image).nonzero()[:, 0], image
        return
    assert cache.cell_targets is not None
    for place in cache.cell_ids.unique():
        stays = cache.cell_ids != place
        without = cache._replace(
            cells=cache.cells[stays],
            counts=torch.bincount(image_of[stays], minlength=len(cache.counts)),
            cell_targets=cache.cell_targets[stays],
            cell_ids=cache.cell_ids[stays],
            reviewed=None,
        )
        yield without, (~stays).nonzero()[:, 0], None


def _rows(found: dict[str, Answers], left_out: str, cache: FeatureCache) -> list[str]:
    assert cache.cell_targets is not None
    shown = cache.cell_targets.numpy() > 0.5
    present = [one for one in LOCALIZATIONS if shown[:, one.hpa_index].any()]
    lines = []
    if left_out == LEFT_OUT[0]:
        names = " | ".join(one.name for one in present)
        lines = [f"| left out | named by | alone | weighed | {names} |"]
        lines.append("|---|---|---|---|" + "---|" * len(present))
    for name, answers in found.items():
        alone, weighed = (class_average_precisions(shown, part)[0] for part in answers)
        classes = " | ".join(f"{weighed[one.hpa_index]:.2f}" for one in present)
        lines.append(
            f"| {left_out} | {name} | {mean_of_known(alone):.3f} | {mean_of_known(weighed):.3f} "
            f"| {classes} |"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
