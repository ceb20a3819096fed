"""--engine ray: a real cluster of several processes, one of which dies, gives the same bytes."""

import json
from pathlib import Path

import pytest
import torch
from cell_images import PYTHONPATH, write_config, write_images
from stand_in import StandInCells

from hpa_mmdet.cli.infer import main
from hpa_mmdet.inference.store import CHUNK_IMAGES
from hpa_mmdet.io.output_records import RECORDS


def test_a_model_process_dies_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    write_images(tmp_path / "images", range(2 * CHUNK_IMAGES + 5), (40, 60))
    (tmp_path / "images/image-007_blue.png").write_bytes(b"no picture")
    torch.save({"state_dict": StandInCells().state_dict()}, tmp_path / "model.pth")
    fatal = tmp_path / "fatal"
    config = write_config(tmp_path, f", die_at={str(fatal)!r}")
    job = [str(config), str(tmp_path / "model.pth"), str(tmp_path / "images"), "--device", "cpu"]
    options = ["--write", "submission,coco,labels", "--batch-size", "2"]
    assert main([*job, *options, "--out", str(tmp_path / "local")]) == 1

    fatal.touch()
    # what the stand-in model is imported from, for Ray's processes
    monkeypatch.setenv("PYTHONPATH", PYTHONPATH)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default: never, on a busy machine
    assert main([*job, *options, "--out", str(tmp_path / "ray"), "--engine", "ray"]) == 1
    assert not fatal.exists(), "no process died"

    names = files_of(tmp_path / "local")
    assert names == files_of(tmp_path / "ray")
    for name in names:
        if (tmp_path / "local" / name).is_file():
            assert (tmp_path / "local" / name).read_bytes() == (
                tmp_path / "ray" / name
            ).read_bytes()
    report = json.loads((tmp_path / "ray/infer_report.json").read_text())
    assert [failure["id"] for failure in report["failed"]] == ["image-007"]


def files_of(folder: Path) -> list[str]:
    """What a run wrote; a process that is killed in mid-write leaves its temporary name."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if not (path.name.startswith(".") and ".tmp" in path.name) and RECORDS not in path.parts
    )
