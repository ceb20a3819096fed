"""Prediction: masks to RLE against stock mmdet, and the whole tool against its network.

Masks of 60 cells at 2048x2048: ours against mmdet's paste and pycocotools' encode. Both get
the same boxes and 28x28 probabilities and run in turn in this process, on one thread; the
least of several rounds counts.

    python benchmarks/bench_infer.py [--cells 60] [--size 2048] [--rounds 5]

The whole tool, from files to files, against the bare network on pixels that are in memory
already, in this process and on the same images; and the most memory that the process held.

    python benchmarks/bench_infer.py --tool CONFIG CHECKPOINT IMAGES [--device cpu]
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hpa_mmdet.coco.paste import paste_masks
from hpa_mmdet.compat import prepare

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


def clocks() -> np.ndarray:
    """Wall time and processor time of this process, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def whole_tool(args: argparse.Namespace) -> dict[str, Any]:
    """Time the network alone, then the run that reads, predicts and writes."""
    from hpa_mmdet.inference.plan import RunOptions, plan_run
    from hpa_mmdet.inference.predictor import Predictor
    from hpa_mmdet.inference.run import run_inference
    from hpa_mmdet.inference.work import read_item

    config, checkpoint, images = map(Path, args.tool)
    predictor = Predictor(
        config,
        checkpoint,
        device=args.device,
        batch_size=args.batch_size,
        input_scale=args.input_scale,
    )
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(Path(folder), workers=args.workers, overwrite=True)
        items = plan_run(images, predictor.channels, options).items
        prepared = [predictor.prepare(read_item(item, predictor.channels)) for item in items[:2]]
        predictor.detect(prepared[:1])  # the first call of a network is slower
        network, tool = np.zeros(2), np.zeros(2)
        for _ in range(args.rounds):
            started = clocks()
            for at in range(0, len(items), args.batch_size):
                group = [prepared[(at + k) % len(prepared)] for k in range(args.batch_size)]
                predictor.detect(group[: len(items) - at])
            network += clocks() - started
            started = clocks()
            run_inference(predictor, images, options)
            tool += clocks() - started
    return {
        "images": len(items),
        "device": str(predictor.device),
        "network_s": round(network[0] / args.rounds, 2),
        "tool_s": round(tool[0] / args.rounds, 2),
        "ratio": round(tool[0] / network[0], 3),
        "ratio_of_processor_time": round(tool[1] / network[1], 3),
        "most_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tool", nargs=3, metavar=("CONFIG", "CHECKPOINT", "IMAGES"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--input-scale", type=float)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.tool:
        print(json.dumps(whole_tool(args)))
        return
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
