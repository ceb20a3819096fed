"""Files in, scores out: truth JSON, cells file, the tool with its JSON and its page."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contest_by_hand import DrawnImage, box, literal_average_precisions, random_images, rle

from hpa_mmdet.cli import evaluate
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import read_submission, write_submission
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.predictions.call_rules import read_thresholds
from hpa_mmdet.scoring.cells import tune_thresholds
from hpa_mmdet.scoring.files import read_found_cells, score_rows
from hpa_mmdet.scoring.ranking import f1_scores
from hpa_mmdet.scoring.references import contest_references
from hpa_mmdet.scoring.truth import read_truth


def coco(images: list[DrawnImage], *, per_label: bool = False) -> dict[str, Any]:
    """The images as convert_coco writes them; ids with gaps."""
    content: dict[str, Any] = {"images": [], "annotations": [], "info": {}}
    content["categories"] = [
        {"id": known.hpa_index + 1, "name": known.name, "hpa_index": known.hpa_index}
        for known in LOCALIZATIONS
    ]
    for image in images:
        coco_id = 10 * int(image.image_id)
        labels = sorted({k for _, classes in image.cells for k in classes})
        height, width = image.shape_hw
        size = {"width": width, "height": height}
        entry = {"id": coco_id, "hpa_id": image.image_id, "file_name": "x.png", **size}
        content["images"].append({**entry, "labels": labels})
        for cell_id, (mask, classes) in enumerate(image.cells, start=3):
            counts = rle(mask)["counts"].decode()
            cell = {"image_id": coco_id, "cell_id": cell_id, "iscrowd": 0}
            cell["segmentation"] = {"size": [height, width], "counts": counts}
            sets = [[k + 1] for k in sorted(classes)] if per_label else [[k + 1 for k in classes]]
            for ids in sets:
                number = len(content["annotations"]) + 1
                one = {**cell, "id": number, "category_id": ids[0], "category_ids": ids}
                content["annotations"].append(one)
    return content


@pytest.fixture
def images() -> list[DrawnImage]:
    one = next(images for images in map(random_images, range(99)) if len(images) == 4)
    two_cells = [(box(1, 1, 9, 9), {2, 5}), (box(12, 1, 9, 9), {18})]
    found = [(2, 0.8, box(1, 2, 9, 9)), (5, 0.4, box(1, 2, 9, 9)), (18, 0.6, box(12, 1, 9, 9))]
    return [*one, DrawnImage("5", two_cells, found)]


@pytest.fixture
def files(tmp_path: Path, images: list[DrawnImage]) -> tuple[Path, Path]:
    submission, truth = tmp_path / "submission.csv", tmp_path / "truth.json"
    write_submission(submission, [image.row() for image in images])
    truth.write_text(json.dumps(coco(images)))
    return submission, truth


def test_truth_is_read_in_both_layouts(tmp_path: Path, images: list[DrawnImage]) -> None:
    for per_label in (False, True):
        path = tmp_path / f"{per_label}.json"
        path.write_text(json.dumps(coco(images, per_label=per_label)))
        truth = read_truth(path)
        assert list(truth) == [image.image_id for image in images]
        for image in images:
            one, drawn = truth[image.image_id], image.truth()
            assert one.coco_id == 10 * int(image.image_id)
            assert one.rles == drawn.rles
            assert np.array_equal(one.localizations, drawn.localizations)
            assert np.array_equal(one.image_labels, drawn.image_labels)
            assert one.cell_ids == [3 + at for at in range(len(image.cells))]


def test_labels_of_an_image_are_its_own_not_its_cells(tmp_path: Path) -> None:
    content = coco([DrawnImage("1", [(box(0, 0, 5, 5), {18})])])
    content["images"][0]["labels"] = [7]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert np.flatnonzero(read_truth(tmp_path / "truth.json")["1"].image_labels).tolist() == [7]
    del content["images"][0]["hpa_id"]
    content["images"][0]["file_name"] = "folder/abc_green.png"
    (tmp_path / "truth.json").write_text(json.dumps(content))
    assert list(read_truth(tmp_path / "truth.json")) == ["abc"]


def _with(change: str, content: dict[str, Any]) -> Any:
    if change == "list":
        return [1]
    if change == "no images":
        return {**content, "images": [], "annotations": []}
    if change == "no key":
        return {"images": []}
    if change == "twice":
        content["images"].append({**content["images"][0], "id": 77})
    if change == "category":
        content["annotations"][0]["category_ids"] = [99]
    if change == "class":
        content["categories"][0]["hpa_index"] = 19
    if change == "image":
        content["annotations"][0]["image_id"] = 98
    if change == "runs":
        content["annotations"][0]["segmentation"]["counts"] = "PPPP4"
    if change == "uncompressed":
        content["annotations"][0]["segmentation"]["counts"] = [1, 2]
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param("list", "the entry .1., expected a JSON object", id="a list"),
        pytest.param("no images", "found no images, expected at least one", id="no images"),
        pytest.param(
            "no key", "found no list 'categories', expected a COCO JSON", id="no categories"
        ),
        pytest.param("twice", "found image 1 twice, expected once", id="an image twice"),
        pytest.param(
            "category", "annotation 1: found category 99, expected an id listed", id="category"
        ),
        pytest.param(
            "class",
            "category 1: found hpa_index 19, expected a whole number from 0 to 18",
            id="class",
        ),
        pytest.param(
            "image", "annotation 1: found image_id 98, expected the id of an image", id="image"
        ),
        pytest.param(
            "runs", "annotation 1: found a mask of 4194304 pixels, expected 600", id="runs"
        ),
        pytest.param(
            "uncompressed", "annotation 1: found a mask of 3 pixels, expected 600", id="list mask"
        ),
    ],
)
def test_a_bad_truth_is_named(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "truth.json"
    content = coco([DrawnImage("1", [(box(0, 0, 5, 5), {3})])])
    path.write_text(json.dumps(_with(change, content)))
    with pytest.raises(InputError, match=message):
        read_truth(path)


def test_a_truth_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "truth.json").write_text("{")
    with pytest.raises(InputError, match=r"truth.json: not JSON \(Expecting"):
        read_truth(tmp_path / "truth.json")
    with pytest.raises(InputError, match=r"none\.json: cannot be read \(No such file"):
        read_truth(tmp_path / "none.json")


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
