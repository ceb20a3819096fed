r"""Everything that waits for a GPU, in at most nine minutes, written to docs/explanation/gpu.md.

    python benchmarks/gpu_record.py                    # on a GPU; pure wheels, nothing is compiled
    python benchmarks/gpu_record.py --toy --out gpu_toy.md      # on the CPU, small: does it run?

Measured, on synthetic images of four channels: ResNet-50 at 1024 and at 2048 pixels under mixed
precision, training and prediction, images per second, peak memory of the device, the share of a
step that waits for data, with and without the image cache; mmdet's own Mask R-CNN on the same
backbone, channels, proposals, batch and size in the same run; the tuned localization branch against the
frozen one (time and memory of a step; what it is worth needs more than minutes); torch.compile of
the backbones; the kernels of nms and RoIAlign. The page is written after each part. A part that would
begin after the limit, or that fails, is named on the page with the reason.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bench_train
from peer import compare_inference
from train_data import draw_images, our_config, stock_config

import torch  # isort: skip
from mmcv.ops import RoIAlign, nms
from mmengine.registry import init_default_scope

from hpa_mmdet.io.atomic import atomic_path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explanation/gpu.md"
CONFIGS = ROOT / "configs/mask_rcnn"
FROZEN = CONFIGS / "hpa-mask-rcnn_r50_fpn_bag-lse_1x_hpa.py"
TUNED = CONFIGS / "hpa-mask-rcnn_r50_fpn_bag-lse_tuned_1x_hpa.py"
LIMIT_S = 9 * 60
Row = dict[str, Any]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--toy", action="store_true", help="a few steps of small images on the CPU")
    add("--out", type=Path, help=f"page to write (default: {PAGE.relative_to(ROOT)})")
    add("--workers", type=int, default=8, help="of the loaders")
    add("--limit-s", type=float, default=LIMIT_S, help="no part begins after it")
    return parser


def main() -> int:
    args = build_parser().parse_args()
    if not args.toy and not torch.cuda.is_available():
        sys.stderr.write("no GPU is here; --toy runs on the CPU\n")
        return 2
    if args.toy and args.out is None:
        sys.stderr.write("--toy: give --out, since toy figures are no record\n")
        return 2
    init_default_scope("mmdet")
    page = Page(args)
    with tempfile.TemporaryDirectory() as folder:
        for size in (128,) if args.toy else (1024, 2048):
            options = options_of(args, size)
            data = Path(folder) / str(size)
            for title, measure in PARTS.items():
                page.part(f"{title}, {size} pixels", measure, data, options)
    page.part("Kernels", kernels, "cpu" if args.toy else "cuda", args.toy)
    return 0


class Page:
    """The page, written anew after each part."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.begun = args, time.monotonic()
        device = bench_train.device_name("cpu" if args.toy else "cuda")
        words = " ".join(["python benchmarks/gpu_record.py", *sys.argv[1:]])
        self.text = (
            f"# Figures on {'a CPU, at toy size' if args.toy else 'a GPU'}\n\n"
            f"Written by `{words}` on {datetime.now(UTC):%Y-%m-%d}: {device}, torch "
            f"{torch.__version__}. Synthetic images, four channels, 8 bit.\n"
        )

    def part(self, title: str, measure: Callable[..., list[Row]], *arguments: Any) -> None:
        """Measure, and add a table; or the reason why there is none."""
        passed = time.monotonic() - self.begun
        self.text += f"\n## {title}\n\n"
        if passed > self.args.limit_s:
            self.text += f"Left out: {passed:.0f} s had passed.\n"
        else:
            try:
                self.text += as_table(measure(*arguments))
            except (RuntimeError, torch.OutOfMemoryError) as error:
                if self.args.toy:
                    raise
                self.text += f"Failed: {str(error).splitlines()[0]}\n"
                torch.cuda.empty_cache()
        with atomic_path(self.args.out or PAGE) as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        print(f"{title}: {time.monotonic() - self.begun - passed:.1f} s", flush=True)


def as_table(rows: list[Row]) -> str:
    """Give rows of the same keys as a table in Markdown."""
    lines = [list(rows[0]), ["---"] * len(rows[0])]
    lines += [[str(value) for value in row.values()] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def options_of(args: argparse.Namespace, size: int) -> argparse.Namespace:
    """Give the options of bench_train.py for one size."""
    if args.toy:
        words = "--images 3 --steps 1 --warm-up 1 --workers 0 --rounds 1 --draw-workers 1"
        config = bench_train.DEMO
    else:
        words = f"--images 16 --steps 12 --warm-up 4 --rounds 8 --workers {args.workers}"
        words += " --draw-workers 8 --device cuda --amp"
        config = FROZEN
    words = f"{config} --size {size} {words} --peer"
    return bench_train.build_parser().parse_args(words.split())


def drawn(data: Path, options: argparse.Namespace) -> list[Row]:
    started = time.monotonic()
    draw_images(data, options)
    return [{"images": options.images, "s": round(time.monotonic() - started, 1)}]


def training(data: Path, options: argparse.Namespace) -> list[Row]:
    """Time our detector with and without the cache, and mmdet's own."""
    cache = data / "cache"
    configs = {
        "ours": our_config(data, options, None),
        "ours, image cache": our_config(data, options, cache),
        "stock mmdet": stock_config(data, options),
    }
    bench_train.fill(configs["ours, image cache"], options.workers or 1)
    return [
        {"model": name, **bench_train.time_training(config, options)}
        for name, config in configs.items()
    ]


def prediction(data: Path, options: argparse.Namespace) -> list[Row]:
    """Time images from files to run-length texts, one at a time."""
    ours, stock = our_config(data, options, None), stock_config(data, options)
    reset_peak()
    found = compare_inference(ours, stock, data, options)
    least = found["image_ms"]["ours"]
    return [
        {
            "model": name,
            "ms an image": ms,
            "images per s": round(1000 / ms, 2),
            "times as long as ours": round(ms / least, 2),
            "peak GPU MiB, of all": peak_mib(),
        }
        for name, ms in found["image_ms"].items()
    ]


def tuning(data: Path, options: argparse.Namespace) -> list[Row]:
    """Time a step of the detector alone, as shipped, and with the tuned branch."""
    toy = options.config == bench_train.DEMO
    rows = []
    for name, path in {"frozen": options.config, "tuned": options.config if toy else TUNED}.items():
        config = our_config(data, argparse.Namespace(**{**vars(options), "config": path}), None)
        if toy and name == "tuned":
            config.model.localization.train_with_detector = True
            config.model.localization.backbone.update(frozen=False, checkpointing=True)
        rows.append({"branch": name, **steps_of(config, data, options)})
    return rows


def compiled(data: Path, options: argparse.Namespace) -> list[Row]:
    """Time a step with the detector's backbone compiled; batches keep one shape."""
    config = our_config(data, options, None)

    def compile_backbone(model: Any) -> None:
        # at toy size not by inductor, which needs a compiler on a CPU
        backend = "inductor" if options.device == "cuda" else "eager"
        model.backbone.network = torch.compile(model.backbone.network, backend=backend)

    return [
        {"backbone": "as it is", **steps_of(config, data, options)},
        {"backbone": "compiled", **steps_of(config, data, options, compile_backbone)},
    ]


def steps_of(
    config: Any,
    data: Path,
    options: argparse.Namespace,
    change: Callable[[Any], None] | None = None,
) -> Row:
    """Time steps on batches in memory."""
    loader = bench_train.Runner.build_dataloader(config.train_dataloader, seed=0)
    step, batches = bench_train.Stepper(config, options), iter(loader)
    if change is not None:
        change(step.model)
    reset_peak()
    for _ in range(options.warm_up):
        step(next(batches))
    seconds = [step(next(batches)) for _ in range(options.steps)]
    middle = sorted(seconds)[len(seconds) // 2]
    return {
        "ms a step": round(1000 * middle, 1),
        "images per s": round(options.batch_size / middle, 2),
        "peak GPU MiB": peak_mib(),
    }


def kernels(device: str, toy: bool) -> list[Row]:
    """Time nms and RoIAlign as mmcv's layers call them, in float32 and in half precision."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200 if toy else 2000, 2, generator=generator) * 900
    boxes = torch.cat([corners, corners + 20 + 80 * torch.rand(corners.shape)], 1).to(device)
    scores = torch.rand(len(boxes), generator=generator).to(device)
    rois = torch.cat([torch.zeros(len(boxes), 1, device=device), boxes], 1)[:512]
    layer = RoIAlign(7, 0.25, 2)
    maps = torch.rand(1, 16 if toy else 256, 256, 256, device=device, requires_grad=True)

    def align(dtype: torch.dtype, backward: bool) -> None:
        found = layer(maps.to(dtype), rois.to(dtype))
        if backward:
            found.sum().backward()

    calls: dict[str, Callable[[], Any]] = {
        "nms": lambda: nms(boxes, scores, 0.7),
        "RoIAlign, float32": lambda: align(torch.float32, False),
        "RoIAlign, float16": lambda: align(torch.float16, False),
        "RoIAlign, float32, forward and backward": lambda: align(torch.float32, True),
    }
    return [
        {"kernel": f"{name} ({len(boxes) if name == 'nms' else len(rois)} boxes)", "ms": ms}
        for name, ms in zip(calls, timed(calls.values(), device), strict=True)
    ]


def timed(calls: Any, device: str) -> Iterator[float]:
    for call in calls:
        call()
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        yield round(1000 * sorted(seconds)[2], 3)


def reset_peak() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_mib() -> int | str:
    return torch.cuda.max_memory_allocated() // 2**20 if torch.cuda.is_available() else "-"


PARTS = {
    "Images drawn": drawn,
    "Training": training,
    "Prediction": prediction,
    "Tuned and frozen branch": tuning,
    "torch.compile": compiled,
}

if __name__ == "__main__":
    sys.exit(main())
