"""The tools on real per-cell truth, one after the other, as a user would run them."""

import json
from pathlib import Path

import pytest

from hpa_mmdet.cli import coco_to_submission, convert_coco, evaluate


@pytest.fixture(scope="module")
def converted(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """truth.json (masks by hand, sets by eye) and given.json (a segmenter, image labels)."""
    folder, out = real_data / "hpa_manual", tmp_path_factory.mktemp("hpa_manual")
    labels = ["--labels", str(folder / "images.csv")]
    sets = ["--cell-labels", str(folder / "cells.csv")]
    for masks, options, name in (("truth", sets, "truth"), ("segmenter", [], "given")):
        arguments = ["--masks", str(folder / masks), *labels, *options]
        assert convert_coco.main([*arguments, "--out", str(out / f"{name}.json")]) == 0
    return out


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [pytest.param("one", 0.56, id="confidence 1"), pytest.param("share", 0.58, id="1 / labels")],
)
def test_inherited_labels_score_as_expected(
    real_data: Path, converted: Path, confidence: str, expected: float
) -> None:
    submission, scores = converted / f"{confidence}.csv", converted / f"{confidence}.json"
    given = [str(converted / "given.json"), "--confidence", confidence]
    assert coco_to_submission.main([*given, "--out", str(submission)]) == 0
    arguments = [str(submission), str(converted / "truth.json"), "--json", str(scores)]
    assert evaluate.main(arguments) == 0

    report = json.loads(scores.read_text())
    # nearly all confidences tie: the mean over random orders is what can be expected
    assert report["ties"]["tied_share"] > 0.99
    assert report["ties"]["mean"] == pytest.approx(expected, abs=0.03)
    assert report["contest_map"] == pytest.approx(expected, abs=0.03)
    with (real_data / "hpa_manual" / "cells.csv").open() as table:
        labels = sum(len(line.split(",")[2].split("|")) for line in list(table)[1:])
    assert sum(row["truths"] for row in report["per_class"]) == labels


def test_the_truth_itself_scores_one(converted: Path) -> None:
    submission, scores = converted / "truth.csv", converted / "truth_scores.json"
    truth = str(converted / "truth.json")
    assert coco_to_submission.main([truth, "--out", str(submission)]) == 0
    assert evaluate.main([str(submission), truth, "--json", str(scores)]) == 0
    assert json.loads(scores.read_text())["contest_map"] == 1.0
