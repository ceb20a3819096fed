r"""Is training waiting for its data? Data time, step time, loader and model, with and without cache.

Draws synthetic images, then trains one shipped config on them for some steps without and
with the image cache, and prints for each, as JSON:

    data_ms, step_ms, data_share   of a step: waiting for the batch, the whole, their ratio
    loader_images_per_s            the loader alone, nothing else running
    model_images_per_s             the steps alone, on a batch in memory
    peak_gpu_mib                   on a GPU

and what each transform costs for an image, in processor time, with the bytes that a worker
hands over, and for how many images a second 8 and 16 workers suffice.

With --peer mmdet's own Mask R-CNN is timed in the same process by turns: the same backbone,
channels, proposals, batch and size (`peer.py`), its own loader; a training step, and an image from
its files to run-length texts (60 cells). Printed are the medians (of processor time on a CPU) and
their ratios.

    python benchmarks/bench_train.py                              # CPU, small, about a minute
    python benchmarks/bench_train.py --peer-only --size 1024 --images 8     # CPU, 3 minutes
    python benchmarks/bench_train.py --transforms --size 2048 --images 4    # loading only
    R50=configs/mask_rcnn/hpa-mask-rcnn_r50_fpn_bag-lse_1x_hpa.py          # on a GPU:
    python benchmarks/bench_train.py $R50 --device cuda --amp --peer --size 1024 --images 64 \
        --steps 50 --workers 8
    python benchmarks/bench_train.py $R50 --device cuda --amp --peer --size 2048 --images 32 \
        --steps 30 --workers 8
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
from peer import compare_inference, compare_steps
from train_data import draw_images, our_config, stock_config

import torch  # isort: skip
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import hpa_mmdet.datasets
import hpa_mmdet.models  # noqa: F401
from hpa_mmdet.compat.amp import mixed_precision
from hpa_mmdet.datasets.fill_cache import caching_transforms, fill_cache, sources_of
from hpa_mmdet.jobs import Report

DEMO = Path(__file__).parents[1] / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", nargs="?", type=Path, default=DEMO)
    add("--data", type=Path, help="folder to draw into and to keep (default: a temporary one)")
    add("--size", type=int, default=256, help="side of the images in pixels")
    add("--scale", type=float, default=1.0, help="working size, of the file's")
    add("--images", type=int, default=12)
    add("--steps", type=int, default=8, help="timed steps")
    add("--warm-up", type=int, default=2, help="steps before them")
    add("--batch-size", type=int, default=2)
    add("--workers", type=int, default=1, help="of the loader")
    add("--draw-workers", type=int, default=2, help="of drawing the images")
    add("--device", default="cpu")
    add("--amp", action="store_true", help="mixed precision of ours, and of both in steps")
    add("--peer", action="store_true", help="time mmdet's own Mask R-CNN too")
    add("--peer-only", action="store_true", help="the comparison alone")
    add("--rounds", type=int, default=5, help="images that both predict")
    add("--checkpoint", type=Path, help="weights for prediction (default: random ones)")
    add("--transforms", action="store_true", help="only what each transform costs")
    return parser


def main() -> None:
    args = build_parser().parse_args()
    args.peer = args.peer or args.peer_only
    init_default_scope("mmdet")
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.data or Path(temporary) / "data"
        draw_images(folder, args)
        cache = Path(temporary) / "cache"
        rows = {
            "no cache": our_config(folder, args, None),
            "cache": our_config(folder, args, cache),
        }
        if args.peer:
            rows["stock mmdet"] = stock_config(folder, args)
            ours, stock = rows["no cache"], rows["stock mmdet"]
            say(compare_steps(ours, stock, args, Stepper))
            say(compare_inference(ours, stock, folder, args))
        if args.peer_only:
            return
        for name, config in rows.items():
            say({"row": name, "device": device_name(args.device), "size": args.size})
            if name == "cache":
                say(fill(config, args.workers or 1))
            costs = transform_costs(config, args.images)
            say({"ms of one image": costs, "images per s that workers give": given_by(costs)})
            if not args.transforms:
                say(time_training(config, args))


def say(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


def device_name(device: str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"


def fill(config: Config, workers: int) -> dict[str, Any]:
    """Fill the cache as training would, and say how large it is."""
    dataset = DATASETS.build(config.train_dataloader.dataset)
    cache = caching_transforms(dataset)[0].cache
    assert cache is not None
    started = time.perf_counter()
    fill_cache(cache, list(sources_of(dataset)), Report("fill"), workers)
    return {"filled_s": round(time.perf_counter() - started, 2), "cache": str(cache.size())}


def transform_costs(config: Config, images: int) -> dict[str, float]:
    """Processor time of each step from entry to batch, mean over images, in ms."""
    dataset = DATASETS.build(config.train_dataloader.dataset)
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    # augmentation is random: some images more than once, where there are few
    count, cost = max(min(images, len(dataset)), 24), defaultdict(float)
    for place in range(-1, count):  # the first is not counted: it loads code
        if place == 0:
            cost.clear()
        np.random.seed(place + 1)  # noqa: NPY002 - the same augmentation in each row
        started = time.process_time()
        results = dataset.get_data_info(max(place, 0) % len(dataset))
        cost["entry"] += time.process_time() - started
        for transform in dataset.pipeline.transforms:
            started = time.process_time()
            results = transform(results)
            cost[type(transform).__name__] += time.process_time() - started
        started = time.process_time()
        parcel = ForkingPickler.dumps(results)
        cost["worker hands over"] += time.process_time() - started
        started = time.process_time()
        ForkingPickler.loads(parcel)
        cost["trainer takes"] += time.process_time() - started
        handed = len(parcel)
    found = {name: round(seconds / count * 1e3, 2) for name, seconds in cost.items()}
    return {**found, "sum": round(sum(cost.values()) / count * 1e3, 2), "parcel_kB": handed // 1000}


def given_by(costs: dict[str, float]) -> dict[str, float]:
    """Images a second that 8 and 16 workers make, each with a core; the trainer takes each one."""
    most = 1000 / costs["trainer takes"]
    of_worker = costs["sum"] - costs["trainer takes"]
    return {
        f"{workers} workers": round(min(most, workers * 1000 / of_worker), 1) for workers in (8, 16)
    }


def time_training(config: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Time the loader alone, the model alone, then both as training runs them."""
    images = args.steps * args.batch_size
    loader = Runner.build_dataloader(config.train_dataloader, seed=0)
    batches = iter(loader)
    for _ in range(args.warm_up + args.workers * 2):  # what workers have made in advance
        batch = next(batches)
    started = time.perf_counter()
    for _ in range(args.steps):
        batch = next(batches)
    loader_s = time.perf_counter() - started
    step = Stepper(config, args)
    for _ in range(args.warm_up):
        step(batch)
    model_s = sum(step(batch) for _ in range(args.steps))
    waits, steps = [], []
    for wait, whole in together(batches, step, args.warm_up + args.steps):
        waits.append(wait)
        steps.append(whole)
    waits, steps = waits[args.warm_up :], steps[args.warm_up :]
    found = {
        "data_ms": round(sum(waits) / args.steps * 1e3, 2),
        "step_ms": round(sum(steps) / args.steps * 1e3, 2),
        "data_share": round(sum(waits) / sum(steps), 4),
        "images_per_s": round(images / sum(steps), 3),
        "loader_images_per_s": round(images / loader_s, 3),
        "model_images_per_s": round(images / model_s, 3),
    }
    if step.on_gpu:
        found["peak_gpu_mib"] = torch.cuda.max_memory_allocated() // 2**20
        torch.cuda.reset_peak_memory_stats()
    return found


def together(batches: Iterator[Any], step: "Stepper", count: int) -> Iterator[tuple[float, float]]:
    """Train; give the wait for each batch and the whole step, in seconds."""
    for _ in range(count):
        started = time.perf_counter()
        batch = next(batches)
        wait = time.perf_counter() - started
        yield wait, wait + step(batch)


class Stepper:
    """One training step, timed to its end on the device."""

    def __init__(self, config: Config, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.on_gpu = torch.device(args.device).type == "cuda"
        self.model = MODELS.build(config.model).to(args.device).train()
        wrapper = dict(config.optim_wrapper)
        if args.amp:
            wrapper.update(mixed_precision())
        self.optimizer = build_optim_wrapper(self.model, wrapper)

    def __call__(self, batch: dict[str, Any]) -> float:
        """Train on a batch; give the seconds."""
        started = time.perf_counter()
        self.model.train_step(batch, self.optimizer)
        if self.on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
