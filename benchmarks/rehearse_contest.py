r"""The contest's recipe at full count, on small drawn images, each step killed on the way.

    python benchmarks/rehearse_contest.py --data FOLDER                # all ids: an hour and more
    python benchmarks/rehearse_contest.py --data FOLDER --ids 2000 --workers 1
    python benchmarks/rehearse_contest.py --data FOLDER --ids 2000 --large 8    # and 2048 pixels

FOLDER holds the contest's train.csv and sample_submission.csv. Some synthetic images are drawn
once and hard-linked under all ids of the tables; then every command of docs/how-to/contest.md
runs as it stands there, in a folder of its own, with these exceptions: `--workers` is the option
given here; the config is on EfficientNet-Lite0 and its two epochs see every fiftieth image
(the fit sees all); images are split in groups as well, as those of one antibody would be.

Each step is killed by signal 9 when it is half done (training twice: among its epochs, and while
it computes features), and must go on. Printed for each, and kept in rehearsal.json: wall time of
each run, time per image, peak memory of all its processes, the longest silence, disk. With
--large N the recipe runs on N images of 2048 pixels and on N small ones too, without kills, and
what larger pictures add per image is extrapolated to the contest; with few --ids the start of a
tool weighs too much in that. --compare shows how time and
memory grew from a smaller rehearsal's rehearsal.json.

A file that is read again comes from the page cache, since ids share pictures: reading from a
disk is not part of these figures.
"""

import argparse
import csv
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rehearsal_process import Measured, disk_mb, run_step

from hpa_mmdet.cli.synthesize import main as synthesize
from hpa_mmdet.io.submission import read_submission

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/how-to/contest.md"
CONFIG = "hpa-mask-rcnn_r50_fpn_bag-lse_1x_hpa"
CONTEST = {"infer": 559, "browse": 24, "stats": 200}
CONTEST_TRAIN = 21806
LARGE_PX = 2048
FIELD_UM = 160
SMALL_CONFIG = """
_base_ = ["../_base_/models/hpa-mask-rcnn_lite0_fpn.py", "../_base_/hpa_1x.py"]
_base_.train_cfg.max_epochs = 2
_base_.param_scheduler[1].T_max = 2
_base_.train_dataloader.dataset.indices = {epoch_images}
for part in (_base_.train_dataloader, _base_.val_dataloader, _base_.train_cfg.fit.dataloader,
             _base_.train_cfg.fit.more_dataloaders[0], _base_.train_cfg.fit.exponents_dataloader):
    part.num_workers = 1
del part
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of train.csv and sample_submission.csv")
    add("--work-dir", type=Path, default=ROOT / "work_dirs/rehearsal", help="removed first")
    add("--ids", type=int, help="only so many of each table")
    add("--drawn", type=int, default=300, help="images that are drawn")
    add("--size", type=int, default=128, help="their side in pixels")
    add("--workers", type=int, default=2)
    add("--large", type=int, default=0, metavar="N", help="measure 2048 pixels on N images")
    add(
        "--steps", nargs="+", metavar="STEP", help="run these only; drawn masks serve for segment's"
    )
    add("--kill", nargs="*", metavar="STEP", help="kill these only (default: every step)")
    add("--compare", type=Path, metavar="JSON", help="an earlier, smaller rehearsal.json")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    steps = rehearse(args, args.work_dir, args.ids, args.drawn, args.size, args.kill)
    added: dict[str, float] = {}
    if args.large:
        added = cost_of_large(args)
    ids = {step.name: images_of(step.name, args.work_dir) for step in steps}
    rows = [asdict(step) | {"images": ids[step.name]} for step in steps]
    (args.work_dir / "rehearsal.json").write_text(json.dumps(rows, indent=1))
    print(table(rows, added))
    if args.compare:
        print(growth(json.loads(args.compare.read_text()), rows))
    print(f"all of it: {(time.monotonic() - begun) / 60:.1f} min")
    return 0


def rehearse(
    args: argparse.Namespace,
    folder: Path,
    ids: int | None,
    drawn: int,
    size: int,
    kill: Sequence[str] | None,
) -> list[Measured]:
    """Lay out the data and run the recipe on it."""
    shutil.rmtree(folder, ignore_errors=True)
    lay_out(args.data, folder, ids, drawn, size, args.workers)
    count = images_of("segment", folder)
    if args.steps and "segment" not in args.steps:
        link_masks(folder)
    steps = []
    for words in recipe(PAGE.read_text(encoding="utf-8")):
        name = Path(words[1]).stem
        if args.steps and name not in args.steps:
            continue
        if "--workers" in words:
            words[words.index("--workers") + 1] = str(args.workers)
        if name == "split_coco":
            words += ["--groups", "data/hpa/groups.csv", "antibody"]
        kills = kill_times(name, folder, count) if kill is None or name in kill else []
        again = ["--resume"] if name in ("train", "infer") else []
        before = disk_mb(folder)
        step = run_step(name, [sys.executable, *words[1:]], folder, kills, again)
        step.disk_mb = disk_mb(folder) - before
        print(f"{name}: {' + '.join(f'{one:.1f}' for one in step.seconds)} s", flush=True)
        steps.append(step)
    if steps[-1].name == "infer":
        read_back(folder)
    return steps


def recipe(page: str) -> list[list[str]]:
    """Give the words of each command of the page's first block."""
    block = re.search(r"```\n(.*?)```", page, re.DOTALL)
    assert block is not None, "the page has no commands"
    return [shlex.split(line) for line in block[1].replace("\\\n", " ").splitlines()]


def lay_out(data: Path, folder: Path, ids: int | None, drawn: int, size: int, workers: int) -> None:
    """Draw images, link them under the tables' ids, and put tools and configs beside them."""
    words = [f"{folder}/drawn", "--images", str(drawn), "--test-images", "1", "--seed", "0"]
    words += ["--size", str(size), str(size), "--pixel-um", str(FIELD_UM / size)]
    assert synthesize([*words, "--workers", str(workers)]) == 0
    hpa = folder / "data/hpa"
    names = sorted(
        path.name.removesuffix("_red.png") for path in (folder / "drawn/train").glob("*_red.png")
    )
    for table_name, part in {"train.csv": "train", "sample_submission.csv": "test"}.items():
        (hpa / part).mkdir(parents=True)
        with (data / table_name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[:ids]
        for number, row in enumerate(rows):
            if "ImageWidth" in row:
                row["ImageWidth"] = row["ImageHeight"] = str(size)
            for channel in ("red", "green", "blue", "yellow"):
                source = folder / "drawn/train" / f"{names[number % drawn]}_{channel}.png"
                os.link(source, hpa / part / f"{row['ID']}_{channel}.png")
        _write_csv(hpa / table_name, rows)
        if part == "train":
            size_of_group = 3 if len(rows) >= 30 else 1  # else there may be nothing to validate on
            groups = [
                {"ID": row["ID"], "antibody": number // size_of_group}
                for number, row in enumerate(rows)
            ]
            _write_csv(hpa / "groups.csv", groups)
    (folder / "tools").symlink_to(ROOT / "tools")
    shutil.copytree(ROOT / "configs", folder / "configs")
    config = SMALL_CONFIG.format(epoch_images=max(4, len(groups) // 50))
    (folder / f"configs/mask_rcnn/{CONFIG}.py").write_text(config, encoding="utf-8")


def link_masks(folder: Path) -> None:
    """Give every image the true mask of its picture, as a segmenter would have."""
    masks = folder / "data/hpa/masks"
    masks.mkdir()
    drawn = {}
    for path in (folder / "drawn/train").glob("*_red.png"):
        name = path.name.removesuffix("_red.png")
        drawn[path.stat().st_ino] = folder / "drawn/truth/train/masks" / f"{name}_mask.png"
    for path in (folder / "data/hpa/train").glob("*_red.png"):
        name = path.name.removesuffix("_red.png")
        os.link(drawn[path.stat().st_ino], masks / f"{name}_mask.png")


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def kill_times(name: str, folder: Path, count: int) -> list[Callable[[float], bool]]:
    """Say when a step is half done: by the files it has made, else by the clock."""
    hpa, log = folder / "data/hpa", folder / "work_dirs" / CONFIG

    def made(place: Path, pattern: str, expected: float) -> Callable[[float], bool]:
        wanted = max(1, expected / 2)
        return lambda seconds: sum(1 for _ in place.glob(pattern)) >= wanted

    return {
        "segment": [made(hpa / "masks", "*_mask.png", count)],
        "convert_coco": [made(hpa / "train.json.parts", "part-*", count / 16)],
        "cache_images": [made(folder / "work_dirs/hpa/cache", "**/*.npy", count)],
        "train": [
            made(log, "epoch_1.pth", 1),
            made(log / "features", "*.safetensors", 1.9 * count / 64),
        ],
        "infer": [made(folder / "work_dirs/hpa/test/predictions", "chunk-*", min(count, 559) / 16)],
    }.get(name, [lambda seconds: seconds > 3])


def read_back(folder: Path) -> None:
    """Read the submission, and compare its ids with those that were asked for."""
    with (folder / "data/hpa/sample_submission.csv").open(newline="", encoding="utf-8") as file:
        wanted = [row["ID"] for row in csv.DictReader(file)]
    rows = list(read_submission(folder / "work_dirs/hpa/test/submission.csv"))
    assert sorted(row.image_id for row in rows) == sorted(wanted), "the submission has other ids"
    triples = sum(len(row.predictions) for row in rows)
    print(f"submission read back: {len(rows)} images, {triples} triples")


def images_of(name: str, folder: Path) -> int:
    """Count the images that a step sees."""
    part = "test" if name == "infer" else "train"
    return sum(1 for _ in (folder / "data/hpa" / part).iterdir()) // 4


def cost_of_large(args: argparse.Namespace) -> dict[str, float]:
    """Seconds that 2048 pixels add to an image in each step; the start of a tool cancels out."""
    seconds = []
    for size in (LARGE_PX, args.size):
        folder = args.work_dir.with_name(f"{args.work_dir.name}-{size}")
        steps = rehearse(args, folder, args.large, args.large, size, [])
        seconds.append({step.name: sum(step.seconds) for step in steps})
        shutil.rmtree(folder)
    large, small = seconds
    return {name: max(0.0, large[name] - small[name]) / args.large for name in large}


def table(rows: list[dict[str, Any]], added: dict[str, float]) -> str:
    """Give the figures as a table in Markdown."""
    head = [
        "step",
        "images",
        "s, killed + gone on",
        "ms an image",
        "peak MB",
        "silent s",
        "disk MB",
    ]
    head += ["ms more at 2048 px", "contest, 2048 px"] if added else []
    lines = [head]
    for row in rows:
        name, images, seconds = row["name"], row["images"], sum(row["seconds"])
        line = [name, str(images), " + ".join(f"{one:.1f}" for one in row["seconds"])]
        line += [f"{1000 * seconds / images:.1f}", f"{row['peak_mb']:.0f}"]
        line += [f"{row['silent_s']:.1f}", f"{row['disk_mb']:.1f}"]
        if added:
            whole = 559 if name == "infer" else CONTEST_TRAIN
            extra = CONTEST.get(name, CONTEST_TRAIN) * added[name]
            line.append(f"{1000 * added[name]:.0f}")
            line.append(f"{(seconds * whole / images + extra) / 60:.0f} min")
        lines.append(line)
    lines.insert(1, ["---"] * len(lines[0]))
    silent = [
        f"{row['name']} after {row['silent_after']!r}" for row in rows if row["silent_s"] > 10
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "".join(
        f"\nsilent for more than 10 s: {one}" for one in silent
    )


def growth(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> str:
    """Say by how much each step's time and memory grew, and by how much its images."""
    earlier = {row["name"]: row for row in before}
    lines = []
    for row in now:
        old = earlier[row["name"]]
        times = [sum(one["seconds"]) for one in (old, row)]
        lines.append(
            f"{row['name']}: {row['images'] / old['images']:.1f} times the images, "
            f"{times[1] / times[0]:.1f} times the time, "
            f"{row['peak_mb'] / max(old['peak_mb'], 1):.1f} times the memory"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
