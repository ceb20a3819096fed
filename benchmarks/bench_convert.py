"""Conversion against one mask per cell through pycocotools, which is what everyone does.

    python benchmarks/bench_convert.py                 # a drawn image; memory
    python benchmarks/bench_convert.py --manual DIR    # also 148 pairs of real masks

Everything runs on one core, in one process and one run. A time is processor time of this
process, and the least of several repeats, ours and the other's by turns: other programs on
the machine only make things slower.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from hpa_mmdet.coco.convert_image import convert_image
from hpa_mmdet.coco.options import ConvertOptions
from hpa_mmdet.coco.plan import Sources, plan_conversion
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.encode import encode_cells

SIDE = 2048
CELLS = 40


def draw_cells(seed: int = 0) -> NDArray[np.uint8]:
    """Draw 40 touching cells of usual size, (2048, 2048)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    nearest = np.full((SIDE, SIDE), np.inf, np.float32)
    label_image = np.zeros((SIDE, SIDE), np.uint8)
    for cell_id, (y, x) in enumerate(rng.uniform(100, SIDE - 100, (CELLS, 2)), start=1):
        stretch = rng.uniform(0.5, 1.5)
        distance = (rows - y) ** 2 * stretch + (columns - x) ** 2
        inside = (distance < nearest) & (distance < 160**2)
        label_image[inside], nearest[inside] = cell_id, distance[inside]
    return label_image


def one_mask_per_cell(label_image: NDArray[np.integer]) -> list[tuple[str, int, list[float]]]:
    """Encode as the usual converters do."""
    encoded = []
    for cell_id in np.unique(label_image[label_image > 0]):
        rle = coco_mask.encode(np.asfortranarray(label_image == cell_id, dtype=np.uint8))
        encoded.append(
            (rle["counts"].decode(), int(coco_mask.area(rle)), coco_mask.toBbox(rle).tolist())
        )
    return encoded


def ours(label_image: NDArray[np.integer]) -> list[tuple[str, int, list[float]]]:
    """Encode all cells in one pass, in the same form."""
    cells = encode_cells(label_image)
    return [
        (cell.counts, cell.area, [float(number) for number in cell.bbox_xywh]) for cell in cells
    ]


def least_times(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Time calls by turns; seconds."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(repeats):
        for name, call in calls.items():
            begun = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - begun)
    return least


def bench_image(folder: Path, repeats: int) -> None:
    """One drawn image: encoding, and the whole conversion against decoding its PNG."""
    label_image = draw_cells()
    path = folder / "masks" / "drawn_mask.png"
    path.parent.mkdir()
    Image.fromarray(label_image).save(path)
    (folder / "labels.csv").write_text("ID,Label\ndrawn,0|16\n")
    assert ours(label_image) == one_mask_per_cell(label_image), "results differ"
    sources, options = Sources(path.parent, folder / "labels.csv"), ConvertOptions()
    [task] = plan_conversion(sources, options).tasks
    fast = least_times(
        {
            "encode": lambda: encode_cells(label_image),
            "pillow": lambda: np.array(Image.open(path)),
            "decode": lambda: read_label_image(path),
            "convert": lambda: convert_image(task, sources=sources, options=options),
        },
        10 * repeats,
    )
    slow = least_times({"one by one": lambda: one_mask_per_cell(label_image)}, repeats)[
        "one by one"
    ]
    print(f"{SIDE}x{SIDE}, {CELLS} cells, {path.stat().st_size / 1e3:.0f} kB PNG, one core")
    print(f"  one mask per cell (pycocotools)   {1e3 * slow:8.1f} ms")
    print(f"  all cells in one pass (ours)      {1e3 * fast['encode']:8.1f} ms")
    print(f"  -> {slow / fast['encode']:.0f} times as fast (goal 100), strings, areas, boxes equal")
    print(f"  decode the label PNG, Pillow      {1e3 * fast['pillow']:8.1f} ms")
    print(f"  decode the label PNG, ours        {1e3 * fast['decode']:8.1f} ms")
    print(f"  convert it: decode, encode, JSON  {1e3 * fast['convert']:8.1f} ms")
    print(
        f"  -> {fast['convert'] / fast['pillow']:.2f} times decoding it with Pillow (goal 1.25), "
        f"{fast['convert'] / fast['decode']:.2f} times our own decoding"
    )


def bench_manual(folder: Path, repeats: int) -> None:
    """All real pairs: encoding alone, since both need the same decoding."""
    paths = sorted(folder.glob("truth/*.png")) + sorted(folder.glob("segmenter/*.png"))
    least = {"ours": 0.0, "one by one": 0.0, "decode": 0.0}
    cells = 0
    for path in paths:
        begun = time.process_time()
        label_image = read_label_image(path)
        least["decode"] += time.process_time() - begun
        assert ours(label_image) == one_mask_per_cell(label_image), f"{path}: results differ"
        cells += len(encode_cells(label_image))
        fast = least_times({"ours": lambda image=label_image: encode_cells(image)}, repeats)
        slow = least_times({"one by one": lambda image=label_image: one_mask_per_cell(image)}, 1)
        least["ours"] += fast["ours"]
        least["one by one"] += slow["one by one"]
    print(f"{len(paths)} real label images ({len(paths) // 2} pairs), {cells} cells")
    print(f"  decode the PNGs                   {least['decode']:8.2f} s")
    print(f"  one mask per cell (pycocotools)   {least['one by one']:8.2f} s")
    print(f"  all cells in one pass (ours)      {least['ours']:8.2f} s")
    print(
        f"  -> {least['one by one'] / least['ours']:.0f} times as fast, all strings, areas, boxes equal"
    )


PEAK = """
import resource, sys
from pathlib import Path
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.plan import Sources
folder = Path(sys.argv[1])
convert(Sources(folder / "masks", folder / "labels.csv"), folder / "out.json", overwrite=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def bench_memory(folder: Path) -> None:
    """Peak memory of the tool for 200 and 2,000 images of 40 cells."""
    print(f"peak memory of a conversion ({SIDE // 2}x{SIDE // 2}, {CELLS} cells)")
    label_image = cv2.resize(draw_cells(1), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST)
    for count in (200, 2000):
        place = folder / f"memory{count}"
        (place / "masks").mkdir(parents=True)
        first = place / "masks" / "i00000_mask.png"
        Image.fromarray(label_image).save(first)
        for number in range(1, count):
            os.link(first, place / "masks" / f"i{number:05}_mask.png")
        labels = [f"i{number:05},{number % NUM_LOCALIZATIONS}\n" for number in range(count)]
        (place / "labels.csv").write_text("ID,Label\n" + "".join(labels))
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(place)], capture_output=True, text=True, check=True
        )
        seconds = time.perf_counter() - begun
        size = (place / "out.json").stat().st_size
        images = len(json.loads((place / "out.json").read_bytes())["images"])
        assert images == count
        print(
            f"  {count:5} images: {int(done.stdout.split()[-1]) / 1024:6.0f} MiB, {seconds:6.1f} s, "
            f"{size / 1e6:.0f} MB of JSON"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--manual", type=Path, help="folder with truth/ and segmenter/")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip-memory", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        bench_image(Path(name), args.repeats)
        if args.manual:
            bench_manual(args.manual, args.repeats)
        if not args.skip_memory:
            bench_memory(Path(name))


if __name__ == "__main__":
    main()
