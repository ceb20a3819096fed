"""tools/infer.py: what it writes, what it survives, what it refuses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from cell_images import CHANNELS, cell_image, write_config, write_images
from infer_jobs import arguments, digests
from PIL import Image
from pycocotools import mask as coco_mask
from stand_in import StandInCells

from hpa_mmdet.cli.infer import main
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import decode_mask, read_submission
from hpa_mmdet.predictions.call_rules import read_thresholds


def test_the_masks_of_a_submission_are_the_cells(tmp_path: Path, job: list[str]) -> None:
    assert main([*job, "--write", "submission,coco,table,labels", "--min-confidence", "0"]) == 0
    entries = json.loads((tmp_path / "out/cells.json").read_text())
    for number, row in enumerate(read_submission(tmp_path / "out/submission.csv")):
        image, labels = cell_image(number, (170, 120) if number == 2 else (120, 170))
        assert (row.height, row.width) == image.shape[:2]
        mine = [entry for entry in entries if entry["hpa_id"] == row.image_id]
        assert len(row.predictions) == 19 * len(mine) == 19 * (len(np.unique(labels)) - 1)
        drawn = tifffile.imread(tmp_path / "out/labels" / f"{row.image_id}.tif")
        for place, entry in enumerate(mine):
            triples = row.predictions[19 * place : 19 * place + 19]
            assert [hpa_index for hpa_index, _, _ in triples] == list(range(19))
            confidences = [confidence for _, confidence, _ in triples]
            products = entry["score"] * np.array(entry["localization_scores"])
            assert confidences == pytest.approx(products, abs=1e-6)
            (counts,) = {decode_mask(text) for _, _, text in triples}
            assert counts.decode() == entry["segmentation"]["counts"]
            mask = coco_mask.decode({"size": [row.height, row.width], "counts": counts})
            assert np.array_equal(mask.astype(bool), drawn == place + 1)
    with (tmp_path / "out/cells.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == len(entries)


def test_same_run_same_bytes_whatever_the_threads(tmp_path: Path, job: list[str]) -> None:
    assert main([*job, "--workers", "1"]) == 0
    first = digests(tmp_path / "out")
    assert main([*job, "--workers", "3", "--overwrite"]) == 0
    assert digests(tmp_path / "out") == first
    assert {"submission.csv", "cells.csv", "cells.parquet", "cells.json"} <= set(first)
    sums = (tmp_path / "out/predictions/SHA256SUMS").read_text().split()
    assert sums == [first["predictions/chunk-000000.jsonl"], "chunk-000000.jsonl"]


def test_given_masks_come_back_as_they_were(tmp_path: Path, job: list[str]) -> None:
    (tmp_path / "masks").mkdir()
    for seed in (0, 1, 3, 4):
        labels = cell_image(seed)[1]
        Image.fromarray(labels).save(tmp_path / "masks" / f"image-{seed:03d}_mask.png")
    options = [
        "--instances",
        "masks",
        "--masks",
        str(tmp_path / "masks"),
        "--write",
        "labels,table",
    ]
    assert main([*job, *options]) == 1  # image 2 has no mask
    for seed in (0, 1, 3, 4):
        read = tifffile.imread(tmp_path / "out/labels" / f"image-{seed:03d}.tif")
        assert np.array_equal(read, cell_image(seed)[1])
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert report["done"] == 4
    assert "image image-002: found no mask in" in report["failed"][0]["message"]


def break_images(folder: Path) -> None:
    (folder / "image-000_yellow.png").unlink()
    whole = (folder / "image-001_blue.png").read_bytes()
    (folder / "image-001_blue.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((50, 60), np.uint8)).save(folder / "image-003_green.png")
    (folder / "image-004_red.png").write_bytes(b"")


def test_bad_images_are_reported_and_keep_an_empty_row(tmp_path: Path, job: list[str]) -> None:
    break_images(tmp_path / "images")
    assert main([*job, "--batch-size", "4"]) == 1
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert report["done"] == 1
    messages = {failure["id"]: failure["message"] for failure in report["failed"]}
    assert "no yellow file" in messages["image-000"]
    assert "image-001_blue.png" in messages["image-001"]
    assert "60x50" in messages["image-003"]
    assert "image-004_red.png" in messages["image-004"]
    rows = {row.image_id: row for row in read_submission(tmp_path / "out/submission.csv")}
    assert [len(rows[image].predictions) > 0 for image in sorted(rows)] == [
        False, False, True, False, False,
    ]  # fmt: skip
    assert (rows["image-001"].width, rows["image-001"].height) == (170, 120)


def test_one_image_with_numbers_that_are_not_finite_does_not_cost_its_batch(
    tmp_path: Path, job: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = StandInCells.describe
    broken = cell_image(1)[0]

    def sometimes_broken(self: StandInCells, pixels: np.ndarray, masks: list) -> object:
        found = describe(self, pixels, masks)
        if np.array_equal(pixels, broken.transpose(2, 0, 1)):
            found.scores[0] = float("nan")
        return found

    monkeypatch.setattr(StandInCells, "describe", sometimes_broken)
    assert main([*job, "--batch-size", "2"]) == 1
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert [failure["id"] for failure in report["failed"]] == ["image-001"]
    assert report["done"] == 4
    for path in ("submission.csv", "cells.csv", "cells.json"):
        assert "nan" not in (tmp_path / "out" / path).read_text().lower()


def test_ids_are_checked_against_the_sample_submission(tmp_path: Path, job: list[str]) -> None:
    sample = tmp_path / "sample.csv"
    rows = ["image-000,170,120,0 1 x", "image-004,170,120,0 1 x", "other,64,32,0 1 x"]
    sample.write_text("\n".join(["ID,ImageWidth,ImageHeight,PredictionString", *rows]) + "\n")
    assert main([*job, "--sample-submission", str(sample)]) == 1
    found = [
        (r.image_id, r.width, r.height) for r in read_submission(tmp_path / "out/submission.csv")
    ]
    assert found == [("image-000", 170, 120), ("image-004", 170, 120), ("other", 64, 32)]
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert report["notes"] == [
        "left out 3 images that the sample submission lacks: image-001, image-002, image-003",
        "8-bit files: read with white level 255",
        "thresholds of called classes, untuned: 0.5 for all",
    ]
    assert "image other: found no files in" in report["failed"][0]["message"]


def test_thresholds_are_one_per_class_and_decide_what_is_called(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    thresholds = tmp_path / "thresholds.json"
    thresholds.write_text(json.dumps([0.0] + [1.0] * 18))
    assert main([*job, "--thresholds", str(thresholds)]) == 0
    with (tmp_path / "out/cells.csv").open() as handle:
        assert {row["called"] for row in csv.DictReader(handle)} == {"Nucleoplasm"}
    thresholds.write_text("[0.5, 0.5]")
    assert main([*job, "--thresholds", str(thresholds), "--resume"]) == 2
    assert "thresholds.json: found 2 numbers, expected 19, one per class" in capsys.readouterr().err


def test_pictures_follow_the_thresholds_of_the_last_run(tmp_path: Path, job: list[str]) -> None:
    write = ["--write", "labels,overlays"]
    assert main([*job, *write]) == 0
    first = digests(tmp_path / "out")
    assert main([*job, *write, "--resume"]) == 0
    assert digests(tmp_path / "out") == first
    (tmp_path / "low.json").write_text(json.dumps([0.01] * 19))
    assert main([*job, *write, "--resume", "--thresholds", str(tmp_path / "low.json")]) == 0
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert "5 overlays of other thresholds are drawn anew" in report["notes"]
    assert "thresholds of called classes, given: 0.01 for all" in report["notes"]
    again = digests(tmp_path / "out")
    assert all(again[name] != first[name] for name in first if name.startswith("overlays/"))
    assert main([*job, *write, "--resume", "--call-score", "1"]) == 0
    assert not tifffile.imread(tmp_path / "out/labels/image-000.tif").any()


def test_a_batch_of_any_size_ends_with_its_chunk(tmp_path: Path) -> None:
    write_images(tmp_path / "images", range(0, 54, 3), (40, 60))
    job = [*arguments(tmp_path), "--batch-size", "5", "--write", "coco"]
    assert main(job) == 0
    whole = digests(tmp_path / "out")
    (tmp_path / "out/predictions/chunk-000000.jsonl").unlink()
    sizes = []
    with pytest.MonkeyPatch.context() as patch:
        step = StandInCells.test_step
        patch.setattr(
            StandInCells,
            "test_step",
            lambda self, data: (sizes.append(len(data["inputs"])), step(self, data))[1],
        )
        assert main([*job, "--resume"]) == 0
    # each group is searched for cells, and named once the next one is searched
    assert sizes == [5, 5, 5, 5, 5, 1, 5, 1]
    assert digests(tmp_path / "out") == whole


def test_thresholds_come_from_an_evaluation_or_the_checkpoint(
    tmp_path: Path, job: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"hpa_index": k, "threshold": 0.01} for k in range(1, 19)]
    evaluation = {"cells": {"per_class": [{"hpa_index": 0, "threshold": None}, *rows]}}
    (tmp_path / "scores.json").write_text(json.dumps(evaluation))
    assert read_thresholds(tmp_path / "scores.json") == (0.5, *[0.01] * 18)
    stored = {"state_dict": StandInCells().state_dict(), "meta": {"thresholds": [0.25] * 19}}
    torch.save(stored, tmp_path / "model.pth")
    assert main([job[0], str(tmp_path / "model.pth"), *job[2:], "--write", "table"]) == 0
    assert (
        "thresholds of called classes, stored in model.pth: 0.25 for all" in capsys.readouterr().out
    )
    stored["meta"]["thresholds"][3] = 1.5
    torch.save(stored, tmp_path / "model.pth")
    assert main([job[0], str(tmp_path / "model.pth"), *job[2:], "--overwrite"]) == 2
    assert "model.pth: found 1.5, expected numbers from 0 to 1" in capsys.readouterr().err
    (tmp_path / "scores.json").write_text('{"cells": {}}')
    with pytest.raises(InputError, match=r"scores.json: found KeyError: 'per_class', expected a"):
        read_thresholds(tmp_path / "scores.json")


def test_a_model_without_yellow_reads_three_channels(tmp_path: Path) -> None:
    write_images(tmp_path / "images", range(2))
    for path in (tmp_path / "images").glob("*_yellow.png"):
        path.unlink()
    job = arguments(tmp_path)
    write_config(tmp_path, channels=("red", "green", "blue"))
    assert main(job) == 0


def test_files_named_otherwise_are_found(tmp_path: Path, job: list[str]) -> None:
    assert main([*job, "--write", "table"]) == 0
    before = (tmp_path / "out/cells.csv").read_text()
    words = {"red": "w1", "green": "w2", "blue": "w3", "yellow": "w4"}
    for path in sorted((tmp_path / "images").iterdir()):
        image_id, channel = path.stem.split("_")
        path.rename(path.with_name(f"{image_id}-{words[channel]}.png"))
    named = [f"{channel}={words[channel]}" for channel in CHANNELS]
    options = ["--pattern", "{id}-{channel}.png", "--channels", *named, "--overwrite"]
    assert main([*job, "--write", "table", *options]) == 0
    assert (tmp_path / "out/cells.csv").read_text() == before
