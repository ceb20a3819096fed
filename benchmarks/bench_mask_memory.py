r"""Memory of one image's training masks: mmdet's full-size arrays against masks in their boxes.

For an image of drawn discs, makes the masks, passes them through a pipe as a loader's worker
does, pads them, and makes the mask head's targets of 128 proposals. Each way runs in a process of
its own; printed is the peak of its memory above what it had before, in MB, and the time.

    python benchmarks/bench_mask_memory.py                    # 60 cells at 2048 pixels
    python benchmarks/bench_mask_memory.py --cells 200
"""

import argparse
import json
import pickle
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from hpa_mmdet.compat import prepare

prepare()
from mmdet.structures.mask import BitmapMasks  # noqa: E402

from hpa_mmdet.compat.cell_masks import cut_cells  # noqa: E402

PROPOSALS = 128


def draw(size: int, cells: int) -> np.ndarray:
    rows, columns = np.ogrid[:size, :size]
    label_image = np.zeros((size, size), np.uint16)
    rng = np.random.default_rng(0)
    radius = size / 2 / cells**0.5
    for cell in range(1, cells + 1):
        y, x = rng.uniform(0, size, 2)
        label_image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = cell
    return label_image


def measure(way: str, size: int, cells: int) -> dict[str, Any]:
    label_image = draw(size, cells)
    values, boxes, _ = cut_cells(label_image)
    rng = np.random.default_rng(1)
    rows = rng.integers(len(values), size=PROPOSALS)
    proposals = (boxes[rows] + rng.normal(0, 5, (PROPOSALS, 4))).astype(np.float32)
    cut = BitmapMasks(np.zeros((1, size, size), np.uint8), size, size)  # loads what is lazy
    cut.crop_and_resize(proposals[:1], (28, 28), np.zeros(1, np.int64))
    before, start = reset_peak_mb(), time.perf_counter()
    if way == "mmdet":
        dense = np.stack([label_image == value for value in values]).astype(np.uint8)
        found: Any = BitmapMasks(dense, size, size)
        del dense
    else:
        found = cut_cells(label_image)[2]
    sent = pickle.loads(pickle.dumps(found))
    padded = sent.pad((size + 64, size + 64))
    targets = padded.crop_and_resize(proposals, (28, 28), rows)
    seconds = time.perf_counter() - start
    assert targets.masks.shape == (PROPOSALS, 28, 28)
    return {"mb": round(peak_mb() - before, 1), "ms": round(1000 * seconds)}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=2048, help="side of the image in pixels")
    parser.add_argument("--cells", type=int, default=60)
    args = parser.parse_args()
    result: dict[str, Any] = {"size": args.size, "cells": args.cells}
    for way in ("mmdet", "boxes"):
        with get_context("spawn").Pool(1) as pool:
            result[way] = pool.apply(measure, (way, args.size, args.cells))
    print(json.dumps(result, indent=1))
    return 0


def reset_peak_mb() -> float:
    """Forget the peak so far (Linux); give the memory that is in use now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


def peak_mb() -> float:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
