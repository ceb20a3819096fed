"""Prediction: masks to RLE against stock mmdet, and the whole tool against its network.

Masks of 60 cells at 2048x2048: ours against mmdet's paste and pycocotools' encode. Both get
the same boxes and 28x28 probabilities and run in turn in this process, on one thread; the
least of several rounds counts.

    python benchmarks/bench_infer.py [--cells 60] [--size 2048] [--rounds 5]

The whole tool, from files to files, against the bare network on the same images, prepared and
in memory already: same process, same model (loaded before, for both), same batches and
threads, one after the other in each round, the least of the rounds on each side. And the
processor time of each part of the tool, by itself, per image.

    python benchmarks/bench_infer.py --tool CONFIG CHECKPOINT IMAGES [--device cpu] [--threads 1]

Peak memory of runs over few and over many images, each in a process of its own; the network
is a stand-in that gives 40 cells for every image.

    python benchmarks/bench_infer.py --memory 20 200
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hpa_mmdet.compat import prepare
from hpa_mmdet.masks.paste import paste_masks
from hpa_mmdet.predictions.call_rules import CallRules

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
    from hpa_mmdet.inference.stream import ImageStream, read_request

    config, checkpoint, images = map(Path, args.tool)
    if args.threads:
        torch.set_num_threads(args.threads)
    predictor = Predictor(
        config,
        checkpoint,
        device=args.device,
        batch_size=args.batch_size,
        input_scale=args.input_scale,
    )
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(Path(folder), workers=args.workers, overwrite=True)
        planned = plan_run(images, predictor.channels, options).images
        prepared = [predictor.prepare(read_request(one, predictor.channels)) for one in planned]
        # this also warms the network up
        found = [
            predictor.view_maker.read(image.request, predictor.detect([image])[0])
            for image in prepared
        ]
        naming = [image.naming for image in found if image.naming is not None]
        groups = [*groups_of(prepared, args.batch_size), *groups_of(naming, args.batch_size)]
        network, tool = [], []
        for _ in range(args.rounds):
            started = clocks()
            for group in groups:
                predictor.detect(group)
            network.append(clocks() - started)
            started = clocks()
            run_inference(predictor, images, options)
            tool.append(clocks() - started)
        parts = time_of_parts(ImageStream(predictor, images, ()), planned[:12])
    network_s, tool_s = np.min(network, axis=0), np.min(tool, axis=0)
    return {
        "images": len(planned),
        "device": str(predictor.device),
        "threads": torch.get_num_threads(),
        "network_s": round(network_s[0], 2),
        "tool_s": round(tool_s[0], 2),
        "ratio": round(tool_s[0] / network_s[0], 3),
        "ratio_of_processor_time": round(tool_s[1] / network_s[1], 3),
        "processor_ms_per_image": parts,
    }


def groups_of(images: list[Any], batch_size: int) -> list[list[Any]]:
    """Part images as the tool does: by chunks of the store, then by batches."""
    from hpa_mmdet.inference.store import CHUNK_IMAGES

    chunks = [images[at : at + CHUNK_IMAGES] for at in range(0, len(images), CHUNK_IMAGES)]
    return [
        chunk[at : at + batch_size] for chunk in chunks for at in range(0, len(chunk), batch_size)
    ]


def time_of_parts(stream: Any, planned: Any) -> dict[str, float]:
    """Processor time of each part of the tool by itself, in ms per image."""
    from hpa_mmdet.inference.outputs import write_output
    from hpa_mmdet.inference.stored_images import line_of, parse_line
    from hpa_mmdet.inference.stream import read_request

    predictor = stream.predictor
    times: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = call()
        times[name] = round((time.process_time() - started) * 1e3 / len(planned), 2)
        return result

    channels = predictor.channels
    requests = timed("read", lambda: [read_request(one, channels) for one in planned])
    images = timed("prepare", lambda: [predictor.prepare(request) for request in requests])
    answers = timed("network", lambda: [predictor.detect([image])[0] for image in images])
    read = predictor.view_maker.read
    pairs = list(zip(requests, answers, strict=True))
    found = timed("clean", lambda: [read(request, answer) for request, answer in pairs])
    named = timed("names", lambda: [predictor.detect([image.naming])[0] for image in found])
    quads = list(zip(planned, requests, found, named, strict=True))
    stored = timed("finish", lambda: [stream.finish(*quad) for quad in quads])
    lines = timed("lines", lambda: [line_of(one) for one in stored])
    found = [
        one.prediction
        for one in timed("read back", lambda: [parse_line(line.encode(), "line") for line in lines])
    ]
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("submission", "table", "coco"):
            timed(kind, lambda kind=kind: write_output(kind, Path(folder), found, CallRules()))
    return times


def peak_memory(count: int) -> dict[str, Any]:
    """Run the tool over `count` images in this process; MiB above what it held before."""
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.model import BaseModel
    from mmengine.structures import InstanceData
    from PIL import Image

    from hpa_mmdet.inference.plan import OUTPUT_NAMES, RunOptions
    from hpa_mmdet.inference.predictor import Predictor
    from hpa_mmdet.inference.run import run_inference
    from hpa_mmdet.io.channels import CHANNELS

    @MODELS.register_module()
    class FixedCells(BaseModel):  # type: ignore[misc]
        def forward(self, inputs: Any, data_samples: Any, mode: str = "predict") -> Any:
            raise NotImplementedError

        def test_step(self, data: Any) -> Any:
            for sample in data["data_samples"]:
                boxes, probs = some_cells(40, sample.img_shape[0])
                sample.pred_instances = InstanceData(
                    bboxes=torch.from_numpy(boxes),
                    scores=torch.linspace(0.3, 0.9, 40),
                    mask_probs=torch.from_numpy(probs),
                    localization_scores=torch.rand(40, 19),
                )
            return data["data_samples"]

    steps = [{"type": "LoadHpaChannels", "channels": CHANNELS}, {"type": "PackCells"}]
    config = Config({"model": {"type": "FixedCells"}, "test_pipeline": steps})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pixels = np.random.default_rng(0).integers(0, 255, (1024, 1024)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "pixels.png")
        (folder / "images").mkdir()
        for number in range(count):
            for channel in CHANNELS:
                (folder / f"images/{number:04d}_{channel}.png").hardlink_to(folder / "pixels.png")
        predictor = Predictor(config, device="cpu")
        write = tuple(name for name in OUTPUT_NAMES if name != "anndata")
        before = memory_mib("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        run_inference(predictor, folder / "images", RunOptions(folder / "out", write=write))
    return {"images": count, "before_mib": before, "peak_mib": memory_mib("VmHWM")}


def memory_mib(key: str) -> int:
    """VmRSS, what this process holds, or VmHWM, the most it held (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(key))


def compare_memory(counts: list[int]) -> list[dict[str, Any]]:
    found = []
    for count in counts:
        command = [sys.executable, __file__, "--memory-of", str(count)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(told.splitlines()[-1]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tool", nargs=3, metavar=("CONFIG", "CHECKPOINT", "IMAGES"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of torch (default: as it chooses)")
    parser.add_argument("--input-scale", type=float)
    parser.add_argument("--memory", type=int, nargs="+", metavar="IMAGES")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.tool:
        print(json.dumps(whole_tool(args)))
        return
    if args.memory:
        for found in compare_memory(args.memory):
            print(json.dumps(found))
        return
    if args.memory_of:
        print(json.dumps(peak_memory(args.memory_of)))
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
