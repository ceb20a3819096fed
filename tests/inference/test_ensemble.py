"""tools/ensemble.py: submissions and prediction folders averaged, cell by cell."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_images import write_config, write_images
from pycocotools import mask as coco_mask
from stand_in import StandInCells

from hpa_mmdet.cli.ensemble import main
from hpa_mmdet.cli.infer import main as infer
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.store import read_folder
from hpa_mmdet.inference.stored_images import StoredImage, line_of, parse_line
from hpa_mmdet.io.submission import SubmissionRow, encode_mask, read_submission, write_submission
from hpa_mmdet.predictions.cells import ImagePrediction


def mask_text(x: int, y: int, width: int, height: int) -> str:
    mask = np.zeros((30, 44), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    return encode_mask(coco_mask.encode(mask)["counts"])


def submission(path: Path, rows: dict[str, list[tuple[int, float, str]]]) -> str:
    write_submission(path, [SubmissionRow(key, 44, 30, triples) for key, triples in rows.items()])
    return str(path)


ONE, NEAR, FAR = mask_text(2, 2, 10, 10), mask_text(3, 2, 10, 10), mask_text(30, 20, 8, 8)


def test_hand_made_table(tmp_path: Path) -> None:
    first = submission(tmp_path / "a.csv", {"x": [(0, 0.8, ONE), (4, 0.2, ONE)], "y": []})
    second = submission(
        tmp_path / "b.csv", {"y": [(1, 0.6, FAR)], "x": [(0, 0.4, NEAR), (2, 0.3, FAR)]}
    )  # another order
    out = tmp_path / "out.csv"
    assert main([first, second, "--weights", "3", "1", "--out", str(out)]) == 0
    x, y = read_submission(out)
    assert (x.image_id, y.image_id) == ("x", "y")
    # (3 * 0.8 + 0.4) / 4, 3 * 0.2 / 4 with the heavier mask; alone in the lighter: a quarter
    assert [triple[:2] for triple in x.predictions] == [
        (0, pytest.approx(0.7)),
        (4, pytest.approx(0.15)),
        (2, pytest.approx(0.075)),
    ]
    assert [triple[2] for triple in x.predictions] == [ONE, ONE, FAR]
    assert [triple[:2] for triple in y.predictions] == [(1, pytest.approx(0.15))]


def test_a_folder_of_predictions_and_its_submission_agree(tmp_path: Path) -> None:
    write_images(tmp_path / "images", range(3))
    torch.save({"state_dict": StandInCells().state_dict()}, tmp_path / "model.pth")
    job = [str(write_config(tmp_path)), str(tmp_path / "model.pth"), str(tmp_path / "images")]
    assert infer([*job, "--out", str(tmp_path / "run"), "--min-confidence", "0"]) == 0
    run, csv = str(tmp_path / "run"), str(tmp_path / "run/submission.csv")
    out = tmp_path / "out.csv"
    assert main([run, csv, "--out", str(out), "--min-confidence", "0"]) == 0
    for mine, theirs in zip(read_submission(out), read_submission(Path(csv)), strict=True):
        key = sorted((text, k, score) for k, score, text in mine.predictions)
        want = sorted((text, k, score) for k, score, text in theirs.predictions)
        assert [triple[:2] for triple in key] == [triple[:2] for triple in want]
        assert [score for _, _, score in key] == pytest.approx(
            [score for _, _, score in want], abs=2e-6
        )


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        pytest.param({"x": []}, [], "b.csv: found no image y, expected those of", id="fewer"),
        pytest.param({"x": [], "y": [], "z": []}, [], "found image z, expected only", id="more"),
        pytest.param({"x": [], "y": []}, ["--weights", "1"], "--weights: found 1.0", id="weights"),
        pytest.param({"x": [], "y": []}, ["--weights", "1", "0"], "2 numbers above 0", id="zero"),
    ],
)
def test_sources_that_do_not_fit_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: dict, options: list, message: str
) -> None:
    first = submission(tmp_path / "a.csv", {"x": [], "y": []})
    second = submission(tmp_path / "b.csv", rows)
    assert main([first, second, "--out", str(tmp_path / "out.csv"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_images_of_another_size_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = submission(tmp_path / "a.csv", {"x": []})
    write_submission(tmp_path / "b.csv", [SubmissionRow("x", 30, 44, [])])
    out = str(tmp_path / "out.csv")
    assert main([first, str(tmp_path / "b.csv"), "--out", out]) == 2
    assert "image x: found 30x44 pixels, expected 44x30" in capsys.readouterr().err
    assert main([first, "--out", out]) == 2
    assert "sources: found 1, expected two or more" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest.json: is no manifest of a run"):
        next(read_folder(tmp_path))
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions/manifest.json").write_text('{"images": 20}')
    (tmp_path / "predictions/chunk-000000.jsonl").write_text("")
    with pytest.raises(InputError, match=r"found no chunk-000001.jsonl, expected all 2 chunks"):
        next(read_folder(tmp_path))
    (tmp_path / "predictions/chunk-000000.jsonl").write_text("no json\n")
    (tmp_path / "predictions/chunk-000001.jsonl").write_text("")
    with pytest.raises(
        InputError,
        match=r"chunk-000000.jsonl, line 1: not JSON \(",
    ):
        list(read_folder(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cells", 3),
        ("cells", [{"bbox": "a"}]),
        ("width", -1),
        ("files", None),
        ("image_probs", [2]),
    ],
)
def test_a_damaged_line_of_a_chunk_is_named(tmp_path: Path, key: str, value: object) -> None:
    line = line_of(StoredImage(ImagePrediction("a", 7, 5), {}))
    damaged = json.dumps({**json.loads(line), key: value})
    with pytest.raises(InputError, match=r"here: no line of a chunk \(.*; remove this file"):
        parse_line(damaged.encode(), "here")
    assert parse_line(line.encode(), "here").prediction.shape_hw == (5, 7)


def test_files_that_are_not_the_ensembles_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = submission(tmp_path / "a.csv", {"x": [(0, 0.5, ONE)]})
    second = submission(tmp_path / "b.csv", {"x": [(0, 0.5, ONE)]})
    before = Path(first).read_bytes()
    assert main([first, second, "--out", first, "--overwrite"]) == 2
    assert "a.csv: is an input of this run" in capsys.readouterr().err
    assert Path(first).read_bytes() == before
    out = tmp_path / "out.csv"
    out.write_text("mine")
    assert main([first, second, "--out", str(out), "--overwrite"]) == 2
    assert "out.csv: was not written by ensemble" in capsys.readouterr().err
    out.unlink()
    assert main([first, second, "--out", str(out)]) == 0
    assert main([first, second, "--out", str(out)]) == 2
    assert "give --overwrite to replace it" in capsys.readouterr().err
    assert main([first, second, "--out", str(out), "--overwrite"]) == 0
