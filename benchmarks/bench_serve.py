"""The web server under load: answers, memory, health, and what it adds to the model's time.

Run after `make demo`, or with any model:

    python benchmarks/bench_serve.py CONFIG CHECKPOINT [--requests 500] [--side 2048]

It starts tools/serve.py on 127.0.0.1 and draws synthetic pictures of its own. Clients that
are told to come back (503) do so after the time that the server names.

1. Overhead: one image of --side pixels. The time from the upload to the cells and pixels on
   the client's side, against `Predictor` in this process on the same pixels; medians.
2. 50 clients at once, one model: how many were answered or politely refused, and the time of
   /api/health meanwhile, median and worst.
3. --requests images one after another: resident memory of the server and its processes, each
   tenth of the way.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
import requests
import torch
from numpy.typing import NDArray
from PIL import Image
from served import ROOT, running_server

from hpa_mmdet import Predictor
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.synth import render_image

CLIENTS = 50
Files = dict[str, bytes]


def picture(side: int, channels: tuple[str, ...], seed: int) -> NDArray[np.uint8]:
    """A synthetic image (side, side, C); larger ones repeat one of 512 pixels."""
    drawn = render_image(seed, (512, 512)).channels
    image = drawn[..., [CHANNELS.index(name) for name in channels]]
    times = -(-side // 512)
    return np.tile(image, (times, times, 1))[:side, :side]


def encoded(image: NDArray[np.uint8], channels: tuple[str, ...]) -> Files:
    """PNG files of the channels."""
    files = {}
    for at, name in enumerate(channels):
        out = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image[..., at])).save(out, "png", compress_level=1)
        files[name] = out.getvalue()
    return files


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children."""
    pids, total = [pid], 0.0
    while pids:
        at = pids.pop()
        children = Path(f"/proc/{at}/task/{at}/children")
        pids += [int(word) for word in children.read_text().split()]
        status = Path(f"/proc/{at}/status").read_text()
        total += int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
    return total


def page_time(address: str, files: Files) -> float:
    """Seconds from the upload until cells and pixels are here, as the page fetches them."""
    start = time.perf_counter()
    job = requests.post(f"{address}/api/jobs", files=files, timeout=600).json()["job_id"]
    pixels = None
    with requests.get(f"{address}/api/jobs/{job}/events", stream=True, timeout=600) as events:
        for line in events.iter_lines():
            if pixels is None and b'"width": ' in line and b'"width": null' not in line:
                pixels = requests.get(f"{address}/api/jobs/{job}/pixels", timeout=60).content
    answer = requests.get(f"{address}/api/jobs/{job}", timeout=60).json()
    seconds = time.perf_counter() - start
    assert answer["state"] == "done", answer["error"]
    assert pixels
    requests.delete(f"{address}/api/jobs/{job}", timeout=60)
    return seconds


def measure_overhead(
    address: str, predictor: Predictor, side: int, repeats: int
) -> tuple[float, float]:
    """Median seconds of the model alone and of upload to picture, taken in turns."""
    image = picture(side, predictor.channels, 1)
    files = encoded(image, predictor.channels)
    predictor(image)
    page_time(address, files)
    alone, whole = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        predictor(image)
        alone.append(time.perf_counter() - start)
        whole.append(page_time(address, files))
    return median(alone), median(whole)


def crowd(address: str, files: Files) -> tuple[Counter[int], list[float]]:
    """Let 50 clients ask at once until each is answered; gives statuses and health times."""
    statuses: Counter[int] = Counter()

    def ask() -> None:
        while True:
            reply = requests.post(f"{address}/api/predict", files=files, timeout=600)
            statuses[reply.status_code] += 1
            if reply.status_code != 503:
                return
            time.sleep(int(reply.headers["retry-after"]))

    watcher = subprocess.Popen(
        [sys.executable, ROOT / "benchmarks/watch_health.py", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    health, _ = watcher.communicate()
    return statuses, json.loads(health)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", type=Path)
    add("checkpoint", type=Path)
    add("--requests", type=int, default=500)
    add("--side", type=int, default=2048)
    add("--repeats", type=int, default=5)
    args = parser.parse_args()
    with running_server(["--model", args.config, args.checkpoint]) as (address, pid):
        predictor = Predictor(args.config, args.checkpoint)
        print(f"threads of torch: {torch.get_num_threads()}")
        alone, whole = measure_overhead(address, predictor, args.side, args.repeats)
        print(
            f"{args.side} x {args.side}: model {alone:.2f} s, upload to picture {whole:.2f} s, "
            f"{100 * (whole / alone - 1):+.0f} %"
        )
        small = encoded(picture(160, predictor.channels, 2), predictor.channels)
        statuses, health = crowd(address, small)
        print(
            f"{CLIENTS} clients: {dict(statuses)}; health of {len(health)} calls: median "
            f"{1000 * median(health):.0f} ms, worst {1000 * max(health):.0f} ms"
        )
        shown = []
        for number in range(args.requests + 1):
            if number % max(args.requests // 10, 1) == 0:
                shown.append(f"{memory_mb(pid):.0f}")
            if number < args.requests:
                reply = requests.post(f"{address}/api/predict", files=small, timeout=600)
                reply.raise_for_status()
        print(f"resident MB over {args.requests} images, each tenth: {' '.join(shown)}")


if __name__ == "__main__":
    main()
