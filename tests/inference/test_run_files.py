"""What a run may write, replace and remove, and what it says of its own damaged files."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile
import torch
from cell_images import write_config, write_images
from stand_in import StandInCells

from hpa_mmdet.cli.infer import main
from hpa_mmdet.inference.store import CHUNK_IMAGES


@pytest.fixture
def job(tmp_path: Path) -> list[str]:
    write_images(tmp_path / "images", range(3), (40, 60))
    torch.save({"state_dict": StandInCells().state_dict()}, tmp_path / "model.pth")
    files = [str(write_config(tmp_path)), str(tmp_path / "model.pth"), str(tmp_path / "images")]
    return [*files, "--out", str(tmp_path / "out"), "--write", "submission,table,labels,overlays"]


def put(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_files_that_no_run_wrote_stay(tmp_path: Path, job: list[str]) -> None:
    """A folder of data, also as --out: its label images are the user's."""
    mine = [
        put(tmp_path / "out" / name) for name in ("labels/other.tif", "overlays/x.png", "a.txt")
    ]
    assert main(job) == 0
    assert main([*job, "--overwrite"]) == 0
    assert main([*job, "--resume", "--call-score", "0.9"]) == 0
    assert [path.read_text() for path in mine] == ["mine"] * 3


@pytest.mark.parametrize(
    "name", ["submission.csv", "cells.parquet", "labels/image-001.tif", "infer_report.json"]
)
def test_a_foreign_file_in_the_way_is_found_before_the_work(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str], name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = put(tmp_path / "out" / name)
    monkeypatch.delattr(StandInCells, "test_step")
    for option in ([], ["--overwrite"], ["--resume"]):
        assert main([*job, *option]) == 2
        assert f"{name}: was not written by infer, so it is never replaced" in (
            capsys.readouterr().err
        )
        assert path.read_text() == "mine"


def test_a_changed_label_image_is_not_replaced(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(job) == 0
    labels = tmp_path / "out/labels/image-001.tif"
    corrected = tifffile.imread(labels)
    corrected[0, 0] = 77
    tifffile.imwrite(labels, corrected)
    for option in ("--resume", "--overwrite"):
        assert main([*job, option]) == 2
        assert "image-001.tif: was changed since infer wrote it" in capsys.readouterr().err
    assert tifffile.imread(labels)[0, 0] == 77


def test_a_full_disk_ends_the_run_and_blames_no_image(
    tmp_path: Path, job: list[str], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write, calls = tifffile.imwrite, []

    def full(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*args, **options)

    monkeypatch.setattr(tifffile, "imwrite", full)
    assert main(job) == 2
    assert "found a full disk" in capsys.readouterr().err
    assert not list((tmp_path / "out/predictions").glob("chunk*"))
    assert main([*job, "--resume"]) == 0
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert (report["done"], report["failed"]) == (3, [])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"images": 3', '"images": "many"'))


def deepen(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize("damage", [cut, edit, deepen])
def test_a_damaged_manifest_says_what_to_remove(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert main(job) == 0
    manifest = tmp_path / "out/predictions/manifest.json"
    damage(manifest)
    assert main([*job, "--resume"]) == 2
    error = capsys.readouterr().err
    assert "manifest.json: is no manifest of a run" in error
    assert "; remove it and run the same command again" in error
    manifest.unlink()
    monkeypatch.delattr(StandInCells, "test_step")  # the chunk is kept
    assert main([*job, "--resume", "--overwrite"]) == 2
    assert main([*job[:-1], "coco", "--resume"]) == 0


def test_a_damaged_chunk_is_named_and_made_again(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(job) == 0
    chunk = tmp_path / "out/predictions/chunk-000000.jsonl"
    whole = chunk.read_bytes()
    cut(chunk)
    assert main([*job, "--resume"]) == 2
    error = capsys.readouterr().err
    assert "chunk-000000.jsonl: is not as infer wrote it; remove it and run" in error
    chunk.unlink()
    assert main([*job, "--resume"]) == 0
    assert chunk.read_bytes() == whole


def test_each_shard_has_a_report_and_the_last_one_that_of_all(tmp_path: Path) -> None:
    write_images(tmp_path / "images", range(CHUNK_IMAGES + 3), (40, 60))
    for number in (2, CHUNK_IMAGES + 1):
        (tmp_path / f"images/image-{number:03d}_blue.png").write_bytes(b"")
    torch.save({"state_dict": StandInCells().state_dict()}, tmp_path / "model.pth")
    files = [str(write_config(tmp_path)), str(tmp_path / "model.pth"), str(tmp_path / "images")]
    out = tmp_path / "out"
    assert main([*files, "--out", str(out), "--shard", "1/2"]) == 1
    assert not (out / "infer_report.json").exists()
    assert main([*files, "--out", str(out), "--shard", "2/2"]) == 1
    names = (
        "infer_report.shard-1-of-2.json",
        "infer_report.shard-2-of-2.json",
        "infer_report.json",
    )
    reports = [json.loads((out / name).read_text()) for name in names]
    assert [report["done"] for report in reports] == [15, 2, 17]
    failed = [[failure["id"] for failure in report["failed"]] for report in reports]
    assert failed == [["image-002"], ["image-017"], ["image-002", "image-017"]]


def test_a_size_that_the_sample_submission_does_not_have_fails_its_image(
    tmp_path: Path, job: list[str]
) -> None:
    sample = tmp_path / "sample.csv"
    rows = ["image-000,60,40,x", "image-001,61,40,x", "image-002,40,60,x"]
    sample.write_text("\n".join(["ID,ImageWidth,ImageHeight,PredictionString", *rows]) + "\n")
    assert main([*job, "--sample-submission", str(sample)]) == 1
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert [failure["id"] for failure in report["failed"]] == ["image-001"]
    assert (
        "found 60x40 pixels, expected 61x40 as in the sample submission"
        in (report["failed"][0]["message"])
    )
    assert "image-001,61,40,0 1 " in (tmp_path / "out/submission.csv").read_text()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--tile", "0"], "--tile: found 0, expected 1 or more pixels"),
        (["--min-confidence", "nan"], "--min-confidence: found nan, expected a number from 0 to 1"),
        (["--call-score", "2"], "--call-score: found 2.0, expected a number from 0 to 1"),
        (["--min-cell-score", "-1"], "--min-cell-score: found -1.0"),
        (["--batch-size", "17"], "--batch-size: found 17, expected 16 at most"),
        (["--input-scale", "nan"], "--input-scale: found nan"),
        (["--workers", "0"], "--workers: found 0, expected 1 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str], option: list, message: str
) -> None:
    assert main([*job, *option]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_that_finds_no_cells_asks_for_masks(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(StandInCells, "detect", False, raising=False)
    assert main(job) == 2
    assert "this model names given cells and finds none; give --instances masks" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()
