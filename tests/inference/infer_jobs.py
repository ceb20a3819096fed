"""Jobs of tools/infer.py for tests."""

import hashlib
from pathlib import Path

import torch
from cell_images import write_config
from stand_in import StandInCells

from hpa_mmdet.io.output_records import RECORDS


def arguments(folder: Path, model: str = "") -> list[str]:
    torch.save({"state_dict": StandInCells().state_dict()}, folder / "model.pth")
    config = write_config(folder, model)
    images = [str(config), str(folder / "model.pth"), str(folder / "images")]
    return [*images, "--device", "cpu", "--out", str(folder / "out")]


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "infer_report" not in path.name and RECORDS not in path.parts
    }
