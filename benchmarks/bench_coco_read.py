"""A COCO JSON read whole against one that is read image by image: time and peak memory.

    python benchmarks/bench_coco_read.py                       # 2,000 and 20,000 images
    python benchmarks/bench_coco_read.py --images 2000 100000

Every row is a process of its own: processor seconds, and the peak memory of all of it, of
which the first line says what the imports take. `whole` is `read_coco`, `index` opens a `CocoIndex` and reads a tenth of the images at
random places, as one worker of ten does in an epoch.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hpa_mmdet.coco.schema import build_info, to_line
from hpa_mmdet.coco.writer import open_writer
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.runs import MaskRuns

CELLS = 20
COUNTS = 250  # characters of a cell's mask

MEASURE = """
import random, resource, sys, time
from pathlib import Path
from hpa_mmdet.coco.index import CocoIndex
from hpa_mmdet.coco.read import read_coco
path, how = Path(sys.argv[1]), sys.argv[2]
begun = time.process_time()
if how == "imports":
    print(0, 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    sys.exit()
images = read_coco(path).images if how == "whole" else CocoIndex(path)
opened = time.process_time()
chosen = random.Random(0).sample(range(len(images)), len(images) // 10)
cells = sum(len(images[at].cells) for at in chosen)
assert cells == len(chosen) * int(sys.argv[3])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(opened - begun, time.process_time() - opened, peak / 1024)
"""


def mask_counts(number: int, cell_id: int) -> str:
    """A mask of one run in each of some columns, of about `COUNTS` characters."""
    columns = np.arange(COUNTS // 2)
    starts = (columns + 90 * cell_id) * 2048 + 300 + number % 1000 + number * columns % 7
    mask = MaskRuns(starts, starts + 60 + cell_id * columns % 5, (2048, 2048))
    return mask.to_counts()


def write_json(path: Path, images: int) -> None:
    """Write a file of `images` entries with 20 cells each, as the converter would."""
    with open_writer(path, build_info(None, path)) as writer:
        for number in range(1, images + 1):
            name = f"{number:08x}-bbad-11e8-b2ba-ac1f6b6435d0"
            image = {
                "id": number,
                "file_name": f"{name}_green.png",
                "width": 2048,
                "height": 2048,
                "hpa_id": name,
                "channel_files": {
                    channel: f"{name}_{channel}.png"
                    for channel in ("red", "green", "blue", "yellow")
                },
                "labels": [number % NUM_LOCALIZATIONS],
            }
            writer.add_image(to_line(image))
            for cell_id in range(1, CELLS + 1):
                annotation = {
                    "image_id": number,
                    "category_id": 1,
                    "category_ids": [1, 17],
                    "bbox": [cell_id, number, 300, 310],
                    "area": 60_000 + cell_id,
                    "iscrowd": 0,
                    "cell_id": cell_id,
                    "touches_border": False,
                    "segmentation": {
                        "size": [2048, 2048],
                        "counts": mask_counts(number, cell_id),
                    },
                }
                writer.add_annotation(to_line(annotation))


def measure(path: Path, how: str) -> tuple[float, ...]:
    """Give seconds to open, seconds to read a tenth, and MiB."""
    words = [sys.executable, "-c", MEASURE, str(path), how, str(CELLS)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return tuple(float(word) for word in done.stdout.split())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 20000])
    args = parser.parse_args()
    print(f"{CELLS} cells an image, one core; imports take {measure(Path(), 'imports')[2]:.0f} MiB")
    print(
        f"{'images':>8} {'file, MB':>9}  {'':6}{'open, s':>8} {'a tenth, s':>11} {'peak, MiB':>10}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for count in args.images:
            path = Path(folder) / f"{count}.json"
            write_json(path, count)
            size = path.stat().st_size / 1e6
            for how in ("whole", "index"):
                opened, read, peak = measure(path, how)
                print(
                    f"{count:8,} {size:9.0f}  {how:6}{opened:8.2f} {read:11.2f} {peak:10.0f}",
                    flush=True,
                )
            path.unlink()


if __name__ == "__main__":
    main()
