"""Files in, scores out: truth JSON, cells file, the tool with its JSON and its page."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contest_by_hand import DrawnImage, box, literal_average_precisions, rle

from hpa_mmdet.cli import evaluate
from hpa_mmdet.io.submission import read_submission, write_submission
from hpa_mmdet.predictions.call_rules import read_thresholds
from hpa_mmdet.scoring.cells import tune_thresholds
from hpa_mmdet.scoring.files import ScoringOptions, read_found_cells, score_rows
from hpa_mmdet.scoring.ranking import f1_scores
from hpa_mmdet.scoring.references import contest_references
from hpa_mmdet.scoring.truth import read_truth


def test_the_tool_writes_what_the_reference_computes(
    files: tuple[Path, Path], images: list[DrawnImage], capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = files[0].with_name("scores.json"), files[0].with_name("scores.html")
    arguments = [*map(str, files), "--json", str(out), "--html", str(page), "--marks"]
    assert evaluate.main([*arguments, "--resamples", "20"]) == 0

    report = json.loads(out.read_text())
    expected = literal_average_precisions(images)
    assert next(iter(report)) == "contest_map"
    assert report["contest_map"] == pytest.approx(np.nanmean(expected), abs=1e-12)
    for row, ap in zip(report["per_class"], expected, strict=True):
        assert row["ap"] == (None if np.isnan(ap) else pytest.approx(ap, abs=1e-12))
    assert report["marks"]["truth"]["contest_map"] == 1
    assert 0 < report["detection"]["ap"]["0.5"] <= 1
    assert report["image_level"]["pooling"] == "max"
    assert len(report["cells"]["confusion"]) == 19

    printed = capsys.readouterr().out
    assert f"contest_map {report['contest_map']}" in printed
    assert "Nature Methods 19:1221" in printed
    assert "random orders" in printed
    text = page.read_text()
    assert text.count("<svg") == 5
    assert "Cells found" in text
    assert "another test set" in text


def test_the_tool_scores_as_the_package_does() -> None:
    args = evaluate.build_parser().parse_args(["submission.csv", "truth.json"])
    assert ScoringOptions() == ScoringOptions(
        args.iou, args.tie_orders, args.pooling, args.resamples, args.seed
    )


def test_cells_of_images_without_a_row_are_not_found(
    files: tuple[Path, Path], images: list[DrawnImage]
) -> None:
    write_submission(files[0], [image.row() for image in images[:-1]])
    truth = read_truth(files[1])
    scores = score_rows(read_submission(files[0]), truth, ScoringOptions(resamples=0))
    assert scores.contest.missing == ("5",)
    assert len(scores.table.found) == sum(len(image.cells) for image in images)
    assert not scores.table.found[-2:].any()
    assert scores.detection.cells == len(scores.table.found)
    different = [
        {mask.tobytes() for _, _, mask in image.detections if mask.any()} for image in images[:-1]
    ]
    assert scores.detection.detections == sum(map(len, different))


def test_images_in_one_file_only_are_printed(
    files: tuple[Path, Path], images: list[DrawnImage], capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = DrawnImage("stranger", [], [])
    write_submission(files[0], [*(image.row() for image in images[1:]), stranger.row()])
    assert evaluate.main([*map(str, files), "--resamples", "0"]) == 0
    printed = capsys.readouterr().out
    assert "1 images of the truth have no row in the submission (not found): 1" in printed
    assert "1 images of the submission are not in the truth (left out): stranger" in printed


@pytest.mark.parametrize(
    "name_of",
    [
        pytest.param(lambda number: {"image_id": 10 * number}, id="the truth's number"),
        pytest.param(lambda number: {"image_id": str(number)}, id="HPA id"),
        pytest.param(lambda number: {"image_id": 999, "hpa_id": str(number)}, id="both"),
    ],
)
def test_cells_with_their_own_scores(
    files: tuple[Path, Path],
    images: list[DrawnImage],
    name_of: Callable[[int], dict[str, Any]],
) -> None:
    cells = []
    for image in images:
        for mask, _ in image.cells:
            one = rle(mask)
            segmentation = {"size": one["size"], "counts": one["counts"].decode()}
            named = name_of(int(image.image_id))
            cells.append({**named, "segmentation": segmentation, "score": 0.9})
    cells.append({"image_id": "stranger", "segmentation": {}, "score": 9})
    path, out = files[0].with_name("cells.json"), files[0].with_name("scores.json")
    path.write_text(json.dumps(cells))
    arguments = [*map(str, files), "--cells", str(path), "--json", str(out), "--resamples", "0"]
    assert evaluate.main(arguments) == 0
    detection = json.loads(out.read_text())["detection"]
    assert detection["ap"] == {"0.5": 1.0, "0.6": 1.0, "0.75": 1.0}
    assert detection["ranked_by"] == "score of the cells file"


MASK = {"size": [20, 30], "counts": rle(box(0, 0, 5, 5))["counts"].decode()}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("{", "cells.json: not JSON", id="no JSON"),
        pytest.param('[{"image_id": "1"}]', "result 0: it has no segmentation", id="no mask"),
        pytest.param(
            json.dumps([{"image_id": "1", "segmentation": MASK, "score": 1.2}]),
            r"result 0: found score 1.2, expected a number from 0 to 1",
            id="score",
        ),
        pytest.param(
            json.dumps([{"image_id": "1", "segmentation": MASK, "score": -0.1}]),
            r"result 0: found score -0.1",
            id="score below 0",
        ),
        pytest.param(
            json.dumps([{"image_id": "1", "segmentation": MASK, "score": True}]),
            r"result 0: found score True",
            id="score that is no number",
        ),
        pytest.param(
            json.dumps(
                [
                    {"image_id": "1", "segmentation": MASK, "score": 0},
                    {"image_id": "1", "segmentation": {**MASK, "counts": "04"}, "score": 1},
                ]
            ),
            r"result 1: found a mask of 4 pixels, expected 600",
            id="runs",
        ),
        pytest.param("{}", "cells.json: found {}, expected a list of results", id="no list"),
        pytest.param(
            json.dumps([{"image_id": "1", "segmentation": {**MASK, "size": [2, 3]}, "score": 1.0}]),
            r"result 0: found segmentation.size \[2, 3\], expected \[20, 30\]",
            id="mask",
        ),
        pytest.param(
            json.dumps(
                [{"image_id": "1", "segmentation": {**MASK, "size": [30, 20]}, "score": 1.0}]
            ),
            r"result 0: found segmentation.size \[30, 20\], expected \[20, 30\]",
            id="size",
        ),
    ],
)
def test_a_bad_cells_file_is_named(
    files: tuple[Path, Path], content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files[0].with_name("cells.json")
    path.write_text(content)
    assert evaluate.main([*map(str, files), "--cells", str(path)]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_scores_of_0_and_1_are_scores(files: tuple[Path, Path]) -> None:
    path = files[0].with_name("cells.json")
    found = [{"image_id": "1", "segmentation": MASK, "score": score} for score in (0, 1)]
    path.write_text(json.dumps(found))
    assert read_found_cells(path, read_truth(files[1]))["1"].scores == [0.0, 1.0]


def test_cells_of_unknown_images_are_left_out(files: tuple[Path, Path]) -> None:
    path = files[0].with_name("cells.json")
    path.write_text('[{"image_id": 12345}]')
    assert read_found_cells(path, read_truth(files[1])) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--iou", "0"], "--iou: found 0.0, expected more than 0", id="IoU"),
        pytest.param(["--iou", "nan"], "--iou: found nan", id="IoU NaN"),
    ],
)
def test_bad_options(
    files: tuple[Path, Path], options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = files[0].with_name("scores.json")
    assert evaluate.main([*map(str, files), *options, "--json", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_the_contests_figures() -> None:
    references = contest_references()
    assert len(references) == 19
    assert np.mean([reference.first_place for reference in references]) == pytest.approx(
        0.5666, abs=1e-4
    )
    assert references[11] == (0.6439, 0.6891, 0.4733)


def test_its_thresholds_are_what_inference_calls_by(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    """`tools/evaluate.py --json` -> `tools/infer.py --thresholds`, class by class."""
    submission, truth = files
    out = tmp_path / "scores.json"
    assert evaluate.main([str(submission), str(truth), "--json", str(out)]) == 0
    table = score_rows(read_submission(submission), read_truth(truth)).table
    tuned = tune_thresholds(table.truth, table.scores)
    read = np.array(read_thresholds(out))
    known = np.isfinite(tuned)
    assert 0 < known.sum() < 19
    np.testing.assert_array_equal(read[known], tuned[known])
    assert set(read[~known]) == {0.5}  # nothing of the class could be tuned
    # called by what was read, the cells have the F1 that it was tuned to
    f1 = f1_scores(table.truth, table.scores >= read)[0][known]
    best = [
        max(f1_scores(table.truth[:, [k]], table.scores[:, [k]] >= at)[0, 0] for at in levels)
        for k in np.flatnonzero(known)
        if len(levels := np.unique(table.scores[table.scores[:, k] > 0, k]))
    ]
    np.testing.assert_allclose(f1, best)
