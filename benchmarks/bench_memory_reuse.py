"""What it is worth to use freed memory again, and what it holds: glibc's way and ours.

Examples:
    python benchmarks/bench_memory_reuse.py
    python benchmarks/bench_memory_reuse.py training

`prediction`: EfficientNet-Lite0 (random weights) computes the maps of a random image of --size
pixels. `training`: it learns random numbers from batches of 60 to 120 crops of 128 pixels, another
number in each step, as bags of cells are. Each way runs in a process of its own, twice, by turns, so
that other programs disturb both alike. glibc's own way is asked for by HPA_MMDET_KEEP_MEMORY=0, as a
user would. Printed for each way: the median of the seconds and the resident memory at its peak, then the
ratios.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

_GLIBC = {"HPA_MMDET_KEEP_MEMORY": "0"}
_CROPS, _CROP_PX = (60, 120), 128


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=("prediction", "training"), default="prediction")
    parser.add_argument("--size", type=int, default=1536, help="of the square image, in pixels")
    parser.add_argument("--repeats", type=int, help="images, 5, or steps, 20, of a process")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    args.repeats = args.repeats or (5 if args.part == "prediction" else 20)
    if args.child:
        run(args)
        return 0
    seconds: dict[str, list[float]] = {"glibc": [], "ours": []}
    peaks: dict[str, list[float]] = {"glibc": [], "ours": []}
    for way in ("glibc", "ours", "glibc", "ours"):
        *times, peak = _measure(sys.argv[1:] if argv is None else argv, way)
        seconds[way] += times[1:]  # the first warms up
        peaks[way].append(peak)
    for way in seconds:
        print(f"{way:6}{statistics.median(seconds[way]):8.2f} s, {max(peaks[way]):,.0f} MB")
    faster = statistics.median(seconds["glibc"]) / statistics.median(seconds["ours"])
    more = max(peaks["ours"]) / max(peaks["glibc"])
    print(f"ours is {faster:.2f} times as fast and holds {more:.2f} times as much")
    return 0


def run(args: argparse.Namespace) -> None:
    """Print the seconds of each image or step, then the peak of the resident memory in MB."""
    import timm
    import torch

    from hpa_mmdet.compat import prepare

    prepare()
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    network: Any = timm.create_model("efficientnet_lite0", num_classes=19)
    do: Callable[[], object]
    if args.part == "prediction":
        network.eval()
        image = torch.rand(1, 3, args.size, args.size)

        @torch.inference_mode()
        def do() -> object:
            return network.forward_features(image)
    else:
        optimizer = torch.optim.AdamW(network.parameters())

        def do() -> object:
            crops = torch.rand(int(torch.randint(*_CROPS, ())), 3, _CROP_PX, _CROP_PX)
            optimizer.zero_grad()
            network(crops).square().mean().backward()
            return optimizer.step()

    for _ in range(args.repeats + 1):
        start = time.perf_counter()
        do()
        print(time.perf_counter() - start)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _measure(words: Sequence[str], way: str) -> list[float]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MALLOC_", "HPA_MMDET_"))
    }
    done = subprocess.run(
        [sys.executable, __file__, *words, "--child"],
        env={**kept, **(_GLIBC if way == "glibc" else {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(line) for line in done.stdout.split()]


if __name__ == "__main__":
    sys.exit(main())
