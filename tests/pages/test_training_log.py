"""mmengine's scalars become curves, over resumed and broken-off runs."""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from hpa_mmdet.pages.training_log import read_training_log


def _run(work_dir: Path, start: str, lines: list[dict], tail: str = "") -> Path:
    source = work_dir / start / "vis_data" / "scalars.json"
    source.parent.mkdir(parents=True)
    source.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return source


def test_training_and_validation_are_parted(tmp_path: Path) -> None:
    source = _run(
        tmp_path,
        "20260102_030405",
        [
            {"lr": 0.1, "loss": 2.0, "loss_cls": 1.0, "time": 0.4, "data_time": 0.1, "step": 10},
            {"hpa/contest_map": 0.3, "time": 9.0, "data_time": 8.0, "step": 1},
            {"lr": 0.05, "loss": 1.0, "loss_cls": 0.5, "time": 0.6, "data_time": 0.3, "step": 20},
            {"hpa/contest_map": float("nan"), "step": 2},
        ],
        tail='{"loss": 0.5, "st',  # killed while writing
    )
    start = datetime(2026, 1, 2, 3, 4, 5).timestamp()
    os.utime(source, (start + 90, start + 90))
    log = read_training_log(tmp_path)
    assert log.training == {
        "lr": ([10, 20], [0.1, 0.05]),
        "loss": ([10, 20], [2.0, 1.0]),
        "loss_cls": ([10, 20], [1.0, 0.5]),
    }
    assert log.validation == {"hpa/contest_map": ([1], [0.3])}
    assert log.step_s == pytest.approx((0.5, 0.2))
    assert log.wall_s == pytest.approx(90)
    assert [name for name, _ in log.all_curves()] == ["loss", "loss_cls", "lr", "hpa/contest_map"]


def test_a_resumed_run_replaces_what_it_repeats(tmp_path: Path) -> None:
    _run(tmp_path, "20260102_000000", [{"loss": 10.0 - s, "lr": 1, "step": s} for s in range(5)])
    _run(tmp_path, "20260103_000000", [{"loss": -s, "lr": 1, "step": s} for s in range(3, 6)])
    assert read_training_log(tmp_path).training["loss"] == (
        [0, 1, 2, 3, 4, 5],
        [10, 9, 8, -3, -4, -5],
    )


def test_a_folder_without_runs_has_no_curves(tmp_path: Path) -> None:
    log = read_training_log(tmp_path)
    assert (log.training, log.validation, log.step_s, log.sources) == ({}, {}, None, [])
