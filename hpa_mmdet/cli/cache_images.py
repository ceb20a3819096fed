r"""Decode the images of a data set once, into a cache that training reads.

Example:
    python tools/cache_images.py work_dirs/demo/data/train.json --out work_dirs/demo/cache

Training fills a cache that its config names by itself; this fills it beforehand, on another
machine or while a GPU is busy. Options must be those of the config's LoadHpaChannels.
Images that the cache has already are not decoded again; those whose files changed are.

Exit status: 0 all done; 1 done, but some images could not be read; 2 bad arguments or input,
or no room.
"""

import argparse
import os
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.coco.index import images_without_cells, open_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.io.depth import measure_depth
from hpa_mmdet.jobs import Report


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("cache_images", __doc__)
    add = parser.add_argument
    add("source", type=Path, help="COCO JSON of tools/convert_coco.py")
    add("--out", type=Path, required=True, help="folder of the cache")
    add("--images", type=Path, help="folder of channel files (default: what the JSON names)")
    add("--channels", nargs="+", default=CHANNELS, help="channels, in the config's order")
    add("--scale", type=float, default=1.0, help="stored pixels for each of a file's (default 1)")
    add(
        "--white-level",
        type=int,
        help="full brightness in 16-bit files (default: measured on 32 images, as training does)",
    )
    add("--workers", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Fill the cache, say how large it is."""
    from hpa_mmdet.datasets.fill_cache import fill_cache, sources_of_json
    from hpa_mmdet.datasets.image_cache import ImageCache

    report = Report("cache_images")
    if args.scale <= 0 or args.workers < 1:
        found = f"--scale {args.scale} --workers {args.workers}"
        raise InputError("arguments", found, "above 0, and 1 or more", "correct them")
    data = open_coco(args.source)
    folder = args.images or data.images_root or args.source.parent
    sources = sources_of_json(images_without_cells(data.images), folder)
    level = (
        args.white_level
        or measure_depth([source.files for source in sources], args.channels).white_level
    )
    cache = ImageCache(args.out, args.channels, args.scale, level)
    fill_cache(cache, sources, report, args.workers)
    print(f"{report.summary()}\nimage cache {args.out}: {cache.size()}")
    return report.exit_status


main = partial(run_tool, build_parser, run)
