"""Runs of infer that were killed, sharded, resumed or changed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cell_images import PYTHONPATH, write_images
from infer_jobs import arguments, digests
from stand_in import StandInCells

from hpa_mmdet.cli.infer import main
from hpa_mmdet.inference.store import CHUNK_IMAGES


def test_shards_together_give_the_bytes_of_one_run(tmp_path: Path) -> None:
    write_images(tmp_path / "images", range(CHUNK_IMAGES * 2 + 3), (40, 60))
    job = arguments(tmp_path)
    assert main(job) == 0
    whole = digests(tmp_path / "out")
    job[-1] = str(tmp_path / "parts")
    assert main([*job, "--shard", "2/2"]) == 0
    assert not (tmp_path / "parts/submission.csv").exists()
    assert main([*job, "--shard", "1/2"]) == 0
    assert digests(tmp_path / "parts") == whole


def test_killed_and_resumed_gives_the_bytes_of_one_run(tmp_path: Path) -> None:
    write_images(tmp_path / "images", range(CHUNK_IMAGES * 3), (40, 60))
    job = arguments(tmp_path, ", pause_s=0.02")
    write = ["--write", "submission,table,labels,overlays"]
    assert main([*job, *write]) == 0
    whole = digests(tmp_path / "out")
    job[-1] = str(tmp_path / "killed")
    run = subprocess.Popen(
        [sys.executable, str(Path(__file__).parents[2] / "tools/infer.py"), *job, *write],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    chunk = tmp_path / "killed/predictions/chunk-000000.jsonl"
    deadline = time.monotonic() + 300
    while not chunk.exists() and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert chunk.exists()
    assert not (tmp_path / "killed/submission.csv").exists()
    assert main([*job, *write]) == 2  # it does not go on by itself
    assert main([*job, *write, "--resume"]) == 0
    left = (tmp_path / "killed").rglob(".*.tmp*")
    for path in left:  # what was being written at the kill
        path.unlink()
    assert digests(tmp_path / "killed") == whole


def test_resuming_another_run_is_refused(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(job) == 0
    assert main([*job, "--resume", "--tta", "flips"]) == 2
    assert (
        "manifest.json: found a run with symmetries 1, expected 4 as in this one"
        in capsys.readouterr().err
    )
    (tmp_path / "images/image-004_red.png").unlink()
    assert main([*job, "--resume"]) == 2
    assert "a run with inputs_sha256" in capsys.readouterr().err


def test_a_finished_run_gives_other_outputs_without_the_network(
    tmp_path: Path, job: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*job, "--write", "coco,labels,overlays"]) == 0
    before = digests(tmp_path / "out")
    for folder in ("labels", "overlays"):
        (
            tmp_path / "out" / folder / ("image-002" + (".tif" if folder == "labels" else ".png"))
        ).unlink()
    monkeypatch.delattr(StandInCells, "test_step")
    assert main([*job, "--write", "table,labels,overlays,gallery", "--resume"]) == 0
    after = digests(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert {"gallery.html", "cells.csv"} <= set(after)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["--write", "tables"], "--write: found tables, expected submission", id="write"
        ),
        pytest.param(["--write", ","], "--write: found nothing", id="write nothing"),
        pytest.param(["--shard", "3/2"], "--shard: found 3/2", id="shard"),
        pytest.param(
            ["--overwrite", "--resume"], "--overwrite: cannot be combined with --resume", id="both"
        ),
        pytest.param(["--masks", "m"], "--masks: needs --instances masks", id="masks alone"),
        pytest.param(
            ["--instances", "masks"], "--instances masks: needs --masks DIR", id="instances alone"
        ),
        pytest.param(
            ["--thresholds", "none.json"], r"none.json: cannot be read \(No such file", id="no file"
        ),
        pytest.param(
            ["--sample-submission", "none.csv"], "none.csv: found no readable", id="sample"
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_before_anything_is_written(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str], options: list, message: str
) -> None:
    import re

    assert main([*job, *options]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()
