"""The default against inherited labels, end to end through the tools, where truth is known.

Example:
    python benchmarks/bench_end_to_end.py work_dirs/weak_labels/seed_0/data

The folder is one that tools/synthesize.py wrote, so its pictures are synthetic. For each
config: convert, train, predict with the network's own masks and with the given ones,
evaluate. Training is the demo's: some epochs of the detector, then the fit of the heads. The
detector learns nothing from labels, so the first config's serves the others, which resume
from it. A second call goes on where the first ended. Writes table.md in the work dir.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.io.atomic import atomic_path

ROOT = Path(__file__).parents[1]
CONFIGS = {
    "inherited": ROOT / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_inherited_demo.py",
    "default": ROOT / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py",
    "true labels of cells": ROOT / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_refined_demo.py",
}


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("data", type=Path, help="folder that tools/synthesize.py wrote")
    add("--work-dir", type=Path, default=Path("work_dirs/end_to_end"))
    add("--configs", nargs="+", choices=CONFIGS, default=["inherited", "default"])
    add("--seed", type=int, default=0)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    lines = [
        "| trained on | contest metric, own masks | given masks | mAP of given cells |",
        "|---|---|---|---|",
    ]
    detector = args.work_dir / args.configs[0].replace(" ", "_") / "train"
    for name in args.configs:
        folder = args.work_dir / name.replace(" ", "_")
        _train_and_predict(name, args.data, folder, detector, args.seed)
        own, given = (
            json.loads((folder / f"{kind}.json").read_text()) for kind in ("own", "given")
        )
        lines.append(
            f"| {name} | {own['contest_map']:.3f} | {given['contest_map']:.3f} "
            f"| {given['cells']['map']:.3f} |"
        )
    table = "\n".join(lines) + "\n"
    with atomic_path(args.work_dir / "table.md") as temporary:
        temporary.write_text(table)
    print(table)
    return 0


def _train_and_predict(name: str, data: Path, folder: Path, detector: Path, seed: int) -> None:
    """Run the tools, unless both evaluations are there."""
    if all((folder / f"{kind}.json").is_file() for kind in ("own", "given")):
        return
    truth = data / "truth"
    train, test = data / "train", data / "test"
    masks = ["--masks", truth / "train/masks", "--labels", data / "train.csv"]
    if name == "true labels of cells":
        masks += ["--cell-labels", truth / "train/cells.csv"]
    annotations = folder / "train.json"
    _tool("convert_coco", train, *masks, "--out", annotations, "--overwrite")
    files = [
        f"{loader}.dataset.{key}"
        for loader in _loaders(CONFIGS[name])
        for key in (f"ann_file={annotations}", f"data_prefix.img={train}")
    ]
    log = folder / "train"
    if log != detector:
        _copy_last_epoch(detector, log)
    _tool(
        "train", CONFIGS[name], "--data-root", data, "--work-dir", log, "--seed", str(seed),
        "--resume", "--cfg-options", *files,
    )  # fmt: skip
    given = ["--instances", "masks", "--masks", truth / "test/masks"]
    for kind, instances in {"own": [], "given": given}.items():
        out = folder / f"prediction_{kind}"
        _tool(
            "infer", CONFIGS[name], log / "fitted.pth", test, "--out", out, *instances,
            "--overwrite",
        )  # fmt: skip
        _tool(
            "evaluate", out / "submission.csv", truth / "test/cells.json",
            "--json", folder / f"{kind}.json",
        )  # fmt: skip


def _copy_last_epoch(detector: Path, log: Path) -> None:
    log.mkdir(parents=True, exist_ok=True)
    last = max(detector.glob("epoch_*.pth"), key=lambda path: int(path.stem.split("_")[1]))
    shutil.copyfile(last, log / last.name)
    (log / "last_checkpoint").write_text(str(log / last.name))


def _loaders(config: Path) -> list[str]:
    from mmengine.config import Config

    fit = Config.fromfile(config).train_cfg.fit
    more = [
        f"train_cfg.fit.more_dataloaders.{n}" for n in range(len(fit.get("more_dataloaders", ())))
    ]
    return ["train_dataloader", "train_cfg.fit.dataloader", *more]


def _tool(name: str, *words: str | Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, words)]
    print(" ".join(command[1:]), flush=True)
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
