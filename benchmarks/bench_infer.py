"""Masks of 60 cells at 2048x2048 to RLE: ours against mmdet's paste and pycocotools' encode.

Both get the same boxes and 28x28 probabilities and run in turn in this process, on one
thread; the least of several rounds counts.

    python benchmarks/bench_infer.py [--cells 60] [--size 2048] [--rounds 5]
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hpa_mmdet.compat import prepare
from hpa_mmdet.inference.paste import paste_masks

prepare()
import torch  # noqa: E402
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask  # noqa: E402
from pycocotools import mask as coco_mask  # noqa: E402


def some_cells(count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes like those of real cells, some cut by the border, and lobed masks in them."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, side, (count, 2))
    sizes = rng.uniform(150, 500, (count, 2)) * side / 2048
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    boxes = boxes.clip(0, side).astype(np.float32)
    boxes[0] = (side * 0.3, 0, side * 0.5, side)  # touches the first and the last row
    y, x = np.mgrid[:28, :28] - 13.5
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    lobes = [11 + 2 * np.sin(angle * rng.integers(2, 6) + rng.uniform(0, 6)) for _ in range(count)]
    probs = np.stack([1 / (1 + np.exp((radius - lobe) * 1.5)) for lobe in lobes])
    probs[0] = 1
    return boxes, probs.astype(np.float32)


def stock(boxes: np.ndarray, probs: np.ndarray, side: int) -> list[dict[str, Any]]:
    """As mmdet's FCNMaskHead on a CPU: one mask at a time into a full-size stack."""
    pasted = torch.zeros(len(boxes), side, side, dtype=torch.bool)
    all_probs, all_boxes = torch.from_numpy(probs[:, None]), torch.from_numpy(boxes)
    for index in range(len(boxes)):
        one = slice(index, index + 1)
        chunk, where = _do_paste_mask(all_probs[one], all_boxes[one], side, side, skip_empty=True)
        pasted[(torch.tensor([index]), *where)] = chunk >= 0.5
    return [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in pasted.numpy()]


def ours(boxes: np.ndarray, probs: np.ndarray, side: int) -> list[dict[str, Any]]:
    return [
        {"size": [side, side], "counts": runs.to_counts().encode()}
        for runs in paste_masks(probs, boxes, (side, side))
    ]


def least_time(call: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return min(times), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    boxes, probs = some_cells(args.cells, args.size)
    stock_s, theirs = least_time(lambda: stock(boxes, probs, args.size), args.rounds)
    ours_s, mine = least_time(lambda: ours(boxes, probs, args.size), 3 * args.rounds)
    ious = np.diag(coco_mask.iou(theirs, mine, [0] * len(boxes)))
    result = {
        "cells": args.cells,
        "size": args.size,
        "stock_ms": round(stock_s * 1e3, 2),
        "ours_ms": round(ours_s * 1e3, 2),
        "ratio": round(stock_s / ours_s, 1),
        "least_iou": round(float(ious.min()), 6),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
