"""A store of crops against cutting them from PNGs: speed, memory, size.

    python benchmarks/bench_crops.py

Draws some fields of synthetic cells, 2048x2048 with four channels, and prints, in one run and
one process each:

    crops per second: read from the store in random order, and cut from the PNGs
    processor time of an image: writing the store, and merely decoding the PNGs
    memory of writing a store of 200 and of 2,000 images (each in a process of its own)
    size and time that 248,271 crops come to, as many as the earlier work cut
    crops per second of the loader, and of the training steps of the smallest network

A time is processor time of this process, and the least of several repeats, by turns: other
programs on the machine only make things slower.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from hpa_mmdet.cli.synthesize import main as synthesize
from hpa_mmdet.crops.chunks import ChunkCutter
from hpa_mmdet.crops.extract import extract_crops
from hpa_mmdet.crops.limits import CropLimits
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.sources import SourceOptions, open_source
from hpa_mmdet.crops.statistics import PUBLISHED
from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.io.channels import CHANNELS, find_images
from hpa_mmdet.io.pictures import read_picture
from hpa_mmdet.jobs.parts import PartFolder

SMALLEST = Path(__file__).parents[1] / "configs/crops/ladder_1-plain.py"
OPTIONS = CropOptions(channels=(*CHANNELS, "mask"))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder to draw into and to keep (default: a temporary one)")
    add("--images", type=int, default=6, help="drawn fields (default: %(default)s)")
    add("--size", type=int, default=2048, help="side of a field in pixels")
    add("--repeats", type=int, default=3, help="(default: %(default)s)")
    add("--few", type=int, default=200, help="images of the smaller store of the memory test")
    add("--many", type=int, default=2000, help="images of the larger one")
    add("--memory-size", type=int, default=384, help="side of their images in pixels")
    return parser


def draw(folder: Path, images: int, size: int) -> SourceOptions:
    """Draw fields of cells, 0.08 micrometres a pixel at 2048 pixels; keep what is there."""
    if not (folder / "truth" / "train" / "cells.json").is_file():
        words = [str(folder), "--images", str(images), "--test-images", "1", "--overwrite"]
        words += ["--size", str(size), str(size), "--pixel-um", str(164 / size)]
        assert synthesize(words) == 0
    return SourceOptions(folder / "truth" / "train" / "cells.json", folder / "train")


def repeat_images(source: Path, out: Path, count: int) -> SourceOptions:
    """Link drawn images and masks under more ids."""
    files = find_images(source / "train")
    masks = source / "truth" / "train" / "masks"
    for number in range(count):
        image = files[number % len(files)]
        for channel, path in image.paths.items():
            link(path, out / "images" / f"i{number:05}_{channel}.png")
        link(masks / f"{image.image_id}_mask.png", out / "masks" / f"i{number:05}_mask.png")
    return SourceOptions(out / "images", masks=out / "masks")


def link(path: Path, name: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    os.link(path, name)


def least_times(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time calls by turns; seconds of processor time."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            begun = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - begun)
    return least


def measure_speed(source: SourceOptions, work: Path, repeats: int) -> None:
    opened = open_source(source)
    paths = [path for at in range(len(opened.ids)) for path in opened.image(at).paths]

    stores: list[Path] = []

    def write() -> None:
        stores.append(work / f"store_{len(stores)}")  # to delete one is not to write it
        extract_crops(source, stores[-1], OPTIONS)

    def decode() -> None:
        for path in paths:
            read_picture(path)

    cutter = ChunkCutter(source, OPTIONS, CropLimits(), PartFolder(work / "none", "bench"))

    def cut() -> None:
        for at in range(len(opened.ids)):
            cutter.cut_image(opened.image(at))

    least = least_times({"write": write, "decode": decode, "cut": cut}, repeats)
    store = CropStore(stores[0])
    count, images = len(store), len(store.images.hpa_ids)
    rounds = max(1, 20_000 // count)
    order = np.tile(np.random.default_rng(0).permutation(count), rounds)
    least |= least_times({"read": lambda: store.take(order)}, repeats)
    from_store, from_images = len(order) / least["read"], count / least["cut"]
    print(f"{count} crops of {images} images of {len(CHANNELS)} channels, {store.crop_shape}")
    print(
        f"crops per second: {from_store:,.0f} from the store, {from_images:,.1f} cut from PNGs: "
        f"{from_store / from_images:,.0f} times (goal: 20)"
    )
    print(
        f"ms an image: {1e3 * least['write'] / images:.0f} writing the store, "
        f"{1e3 * least['decode'] / images:.0f} decoding the PNGs: "
        f"{least['write'] / least['decode']:.2f} times (goal: 1.25 at most)"
    )
    goal = PUBLISHED["height"].cells
    size_gb = sum(shard.size_bytes for shard in store.shards) / count * goal / 1e9
    hours = least["write"] / count * goal / 3600
    print(f"{goal:,} crops: {size_gb:.1f} GB, {hours:.1f} hours of one core")


def measure_loader(source: SourceOptions, work: Path, repeats: int) -> None:
    """Compare the loader with training steps of the smallest network, on this one core."""
    from hpa_mmdet.compat import prepare

    prepare()
    import torch
    from mmdet.registry import DATASETS, MODELS
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import init_default_scope

    import hpa_mmdet.datasets
    import hpa_mmdet.models  # noqa: F401

    torch.set_num_threads(1)
    init_default_scope("mmdet")
    config = Config.fromfile(SMALLEST)
    loader = config.train_dataloader
    options = CropOptions.from_dict(loader.dataset.crop.to_dict())
    extract_crops(source, work / "small_crops", options)
    dataset = DATASETS.build({**loader.dataset.to_dict(), "store": str(work / "small_crops")})
    model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    places = [place % len(dataset) for place in range(loader.batch_size)]

    def load() -> dict[str, list[object]]:
        batch: dict[str, list[object]] = pseudo_collate([dataset[place] for place in places])
        return batch

    batch = load()
    crops = sum(len(bag) for bag in batch["inputs"])
    least = least_times(
        {"load": load, "step": lambda: model.train_step(load(), optimizer)}, 3 * repeats
    )
    step_s = least["step"] - least["load"]
    print(
        f"crops per second: {crops / least['load']:,.0f} from the loader, {crops / step_s:,.0f} "
        f"in steps of {SMALLEST.stem}: {step_s / least['load']:.1f} times (goal: 3)"
    )


def measure_memory(drawn: Path, work: Path, counts: tuple[int, int]) -> None:
    peaks = {}
    for count in counts:
        repeat_images(drawn, work / f"m{count}", count)
        words = [sys.executable, __file__, "--child", str(work / f"m{count}")]
        told = subprocess.run(words, capture_output=True, text=True, check=True)
        peaks[count] = float(told.stdout.split()[-1])
    few, many = peaks.values()
    print(
        "peak memory of writing: "
        + ", ".join(f"{peak:.0f} MiB with {count:,} images" for count, peak in peaks.items())
        + f"; {(many - few) / few:+.0%}"
    )


def child(folder: Path) -> None:
    """Write a store and print the peak memory of this process in MiB."""
    source = SourceOptions(folder / "images", masks=folder / "masks")
    extract_crops(source, folder / "store", OPTIONS)
    # getrusage would count what this process was started from
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) / 1024)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
        return
    args = build_parser().parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        data = args.data or work / "data"
        source = draw(data / "large", args.images, args.size)
        measure_speed(source, work, args.repeats)
        measure_loader(source, work, args.repeats)
        draw(data / "small", 4, args.memory_size)
        measure_memory(data / "small", work, (args.few, args.many))


if __name__ == "__main__":
    main()
