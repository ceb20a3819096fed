"""What it is worth to use freed memory again: a network on large images, glibc's way and ours.

Example:
    python benchmarks/bench_memory_reuse.py --size 1536

Each way runs in a process of its own, one after the other and again, so that other programs
disturb both alike: EfficientNet-Lite0 (random weights) computes the maps of a random image.
glibc's own way is asked for by MALLOC_MMAP_MAX_, as a user would. Printed for each way: the
median of the seconds for an image and the resident memory at its peak, then the ratio.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

_RUN = """
import resource, sys, time
import timm, torch
from hpa_mmdet.compat import prepare

prepare()
size, repeats, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
network = timm.create_model("efficientnet_lite0", features_only=True).eval()
image = torch.rand(1, 3, size, size)
with torch.inference_mode():
    for _ in range(repeats + 1):
        start = time.perf_counter()
        network(image)
        print(time.perf_counter() - start)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
_GLIBC = {"MALLOC_MMAP_MAX_": "65536"}  # its own default, said aloud


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1536, help="of the square image, in pixels")
    parser.add_argument("--repeats", type=int, default=5, help="images of a process")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args(argv)
    seconds: dict[str, list[float]] = {"glibc": [], "ours": []}
    peaks: dict[str, list[float]] = {"glibc": [], "ours": []}
    for way in ("glibc", "ours", "glibc", "ours"):
        *times, peak = _measure(args, _GLIBC if way == "glibc" else {})
        seconds[way] += times[1:]  # the first image warms up
        peaks[way].append(peak)
    for way in seconds:
        print(
            f"{way:6}{statistics.median(seconds[way]):8.2f} s an image of {args.size} px,"
            f" {max(peaks[way]):,.0f} MB"
        )
    ratio = statistics.median(seconds["glibc"]) / statistics.median(seconds["ours"])
    print(f"ours is {ratio:.2f} times as fast")
    return 0


def _measure(args: argparse.Namespace, environment: dict[str, str]) -> list[float]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    words = [str(number) for number in (args.size, args.repeats, args.threads)]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(line) for line in done.stdout.split()]


if __name__ == "__main__":
    sys.exit(main())
