"""The truth that predictions are scored against: what is read, and every fault by its name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contest_by_hand import DrawnImage, box
from truth_files import coco

from hpa_mmdet.errors import InputError
from hpa_mmdet.scoring.truth import read_truth


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
