"""The report shows what there is and says what is absent."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from hpa_mmdet.cli.report import main
from hpa_mmdet.coco.schema import build_categories
from hpa_mmdet.io.submission import SubmissionRow, encode_mask, write_submission
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.scoring.tables import MARK_NAMES

SHAPE_HW = (48, 80)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run: log, two images, truth, submission, evaluation."""
    log = tmp_path / "work" / "20260101_000000" / "vis_data"
    log.mkdir(parents=True)
    lines = [{"loss": 1 / s, "lr": 0.1, "time": 0.5, "step": s} for s in (1, 2, 3)]
    (log / "scalars.json").write_text("\n".join(json.dumps(line) for line in lines))
    (log / "config.py").write_text("randomness = dict(deterministic=True, seed=17)\n")

    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    mask = np.zeros(SHAPE_HW, np.uint8, order="F")
    mask[10:30, 20:50] = 1
    rle = coco_mask.encode(mask)
    counts = rle["counts"].decode()
    images, annotations = [], []
    for image_id, name in ((1, "a"), (2, "b")):
        files = {channel: f"{name}_{channel}.png" for channel in ("red", "green", "blue")}
        for file in files.values():
            pixels = rng.integers(0, 200, SHAPE_HW).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / file)
        images.append(
            {
                "id": image_id,
                "hpa_id": name,
                "file_name": files["green"],
                "width": 80,
                "height": 48,
                "channel_files": files,
                "labels": [2],
            }
        )
        annotations.append(
            {
                "id": image_id,
                "image_id": image_id,
                "category_id": 3,
                "category_ids": [3, 8],
                "bbox": [20, 10, 30, 20],
                "area": 600,
                "segmentation": {"size": list(SHAPE_HW), "counts": counts},
                "cell_id": 1,
                "iscrowd": 0,
            }
        )
    truth = {
        "info": {"images_root": "images"},
        "images": images,
        "annotations": annotations,
        "categories": build_categories(),
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    text = encode_mask(counts)
    rows = [SubmissionRow("a", 80, 48, [(14, 0.9, text), (2, 0.01, text)])]
    write_submission(tmp_path / "submission.csv", rows)
    _write_scores(tmp_path / "scores.json", 0.4321)
    _write_scores(tmp_path / "mark.json", 0.0817)
    return tmp_path


def _write_scores(path: Path, contest_map: float) -> None:
    per_class = [
        {
            "name": shown.name,
            "ap": contest_map if shown.hpa_index == 2 else None,
            "truths": int(shown.hpa_index == 2),
            "first_place": 0.5,
            "median_of_50": 0.4,
        }
        for shown in LOCALIZATIONS
    ]
    scores = {
        "contest_map": contest_map,
        "per_class": per_class,
        "reference_source": "a paper",
        "marks": {"frequencies": {"contest_map": 0.0911, "ap": [0.0913] * 19}},
        "detection": {"ap": {"0.5": 0.912, "0.6": None}, "cells": 2, "detections": 1},
    }
    path.write_text(json.dumps(scores))


def _arguments(run: Path, *names: str) -> list[str]:
    known = {
        "truth": "truth.json",
        "submission": "submission.csv",
        "evaluation": "scores.json",
    }
    options = [f"--{name}={run / known[name]}" for name in names]
    return [str(run / "work"), "--out", str(run / "report.html"), *options]


def test_a_whole_run_is_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = run / "facts.json"
    facts.write_text('{"segment, seconds": 12}')
    options = ["--mark", f"mine={run / 'mark.json'}", "--facts", str(facts)]
    arguments = _arguments(run, "truth", "submission", "evaluation")
    assert main([*arguments, *options]) == 0
    html = (run / "report.html").read_text()
    for text in (
        "0.432",
        "0.082",
        "AP, mine",
        f"AP, {MARK_NAMES['frequencies']}",
        "0.091",
        "1 detected, 2 true; average precision 0.912 at IoU 0.5, 0.000 at IoU 0.6",
        "a paper",
        "seed",
        ">17<",
        "segment, seconds",
    ):
        assert text in html
    assert html.count("data:image/jpeg") == 4  # two images, truth beside prediction
    assert html.count("<svg") == 3  # the marks, the loss, the learning rate
    assert "a: predicted, 1 cells" in html
    assert "b: no row in the submission" in html
    assert "absent" not in capsys.readouterr().err


def test_absent_parts_are_said(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(_arguments(run, "truth")) == 1
    html = (run / "report.html").read_text()
    notes = re.findall(r'<p class="note">(.*?)</p>', html)
    assert len(notes) == 2
    assert "give --evaluation to show this part" in notes[0]
    assert "give --submission to show this part" in notes[1]
    assert "absent: Score" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("scores.json", "{", "scores.json: not JSON (", id="cut off"),
        pytest.param(
            "scores.json", "[1]", "found the entry [1], expected a JSON object", id="a list"
        ),
        pytest.param("scores.json", "{}", "found no contest_map and per_class", id="other keys"),
        pytest.param("images/a_red.png", "", "a_red.png: found an empty file", id="a bad image"),
    ],
)
def test_a_bad_part_does_not_stop_the_others(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, message: str
) -> None:
    (run / name).write_text(content)
    assert main(_arguments(run, "truth", "submission", "evaluation")) == 1
    assert message in capsys.readouterr().err
    html = (run / "report.html").read_text()
    assert "<svg" in html
    assert html.count("data:image/jpeg") == (2 if name.startswith("images") else 4)


def test_a_run_that_was_not_trained(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "empty").mkdir()
    assert main([str(run / "empty"), "--out", str(run / "report.html")]) == 1
    assert "found no vis_data/scalars.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--mark", "x"], "--mark x: found x, expected NAME=JSON", id="mark"),
        pytest.param(
            ["--facts", "/none.json"], "/none.json: cannot be read (No such file", id="facts"
        ),
    ],
)
def test_bad_arguments_write_nothing(
    run: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main([*_arguments(run), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (run / "report.html").exists()


def test_no_work_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "report.html")]) == 2
    assert "found no folder, expected a work folder" in capsys.readouterr().err


def test_the_page_replaces_nothing_that_the_tool_did_not_write(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = run / "report.html"
    page.write_text("mine")
    for option in ([], ["--overwrite"]):
        assert main([*_arguments(run, "truth"), *option]) == 2
        assert "report.html: was not written by report" in capsys.readouterr().err
    assert page.read_text() == "mine"
    page.unlink()
    assert main(_arguments(run, "truth")) == 1
    assert main(_arguments(run, "truth")) == 2
    assert main([*_arguments(run, "truth"), "--overwrite"]) == 1
