"""Images in, cells out: against what the stand-in must find."""

import csv
import io
import json

import numpy as np
import pytest
import requests
import tifffile
from pycocotools import mask as coco_mask
from serve_stand_in import (
    CHANNELS,
    DEADLY_WIDTH,
    ENDLESS_WIDTH,
    REFUSED_WIDTH,
    THRESHOLDS,
    StandInFinder,
    cell_planes,
    leftovers,
    png,
    running_server,
    upload,
)

from hpa_mmdet.localizations import NAMES
from hpa_mmdet.serve.analysis import Analyser, ModelFacts


def predict(server: str, files: dict, **query: object) -> requests.Response:
    return requests.post(f"{server}/api/predict", files=files, params=query, timeout=60)


def error_of(reply: requests.Response, status: int, code: str) -> str:
    assert reply.status_code == status, reply.text
    assert reply.json()["error"]["code"] == code
    message: str = reply.json()["error"]["message"]
    assert message[0].isupper()
    assert message.endswith(".")
    assert "/tmp" not in message
    assert "Traceback" not in message
    return message


def test_cells_have_masks_boxes_and_nineteen_scores(server: str) -> None:
    planes = cell_planes((90, 121), cells=3)
    reply = predict(server, upload(planes))
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert (answer["width"], answer["height"]) == (121, 90)
    assert answer["channels"] == list(CHANNELS)
    assert answer["notes"] == []
    assert answer["model_checksum"] == "ab" * 32
    assert [cell["cell_id"] for cell in answer["cells"]] == [1, 2, 3]
    union = np.zeros((90, 121), bool)
    for cell in answer["cells"]:
        mask = coco_mask.decode(cell["segmentation"]).astype(bool)
        assert mask.sum() == cell["area"]
        assert list(coco_mask.toBbox(cell["segmentation"])) == cell["bbox"]
        union |= mask
        called = [k for k in np.argsort(cell["scores"])[::-1] if cell["scores"][k] >= THRESHOLDS[k]]
        assert cell["called"] == called
    np.testing.assert_array_equal(union, planes["blue"] == 255)
    likeliest = [int(np.argmax(cell["scores"])) for cell in answer["cells"]]
    assert likeliest == [4, 9, 13]  # nearest to 1/4, 2/4 and 3/4 of 18
    assert leftovers() == []


def test_polygons_outline_the_same_cells(server: str) -> None:
    answer = predict(server, upload(cell_planes()), masks="polygon").json()
    for cell in answer["cells"]:
        assert "segmentation" not in cell
        ring = np.array(cell["polygons"][0]).reshape(-1, 2)
        x, y, width, height = cell["bbox"]
        assert ring.min(axis=0).tolist() == [x, y]
        assert ring.max(axis=0).tolist() == [x + width - 1, y + height - 1]


def test_segmenter_gives_the_cells_instead(server: str) -> None:
    rng = np.random.default_rng(0)
    planes = {name: rng.integers(0, 8, (300, 380)).astype(np.uint8) for name in CHANNELS}
    rows, columns = np.mgrid[:300, :380]
    for row, column in ((80, 90), (210, 270)):
        distance = np.hypot(rows - row, columns - column)
        planes["blue"][distance < 26] = 200
        for name in ("red", "yellow"):
            planes[name][distance < 55] = 120
    answer = predict(server, upload(planes), instances="segmenter").json()
    assert answer["instances"] == "segmenter"
    assert len(answer["cells"]) == 2
    assert all(cell["cell_score"] == 1 for cell in answer["cells"])
    assert min(cell["area"] for cell in answer["cells"]) > 2500  # more than the nucleus


def test_yellow_may_be_left_out_and_is_noted(server: str) -> None:
    planes = cell_planes()
    del planes["yellow"]
    answer = predict(server, upload(planes)).json()
    assert len(answer["cells"]) == 3
    assert "No yellow (ER) image was given" in answer["notes"][0]


@pytest.mark.parametrize("bands_last", [False, True], ids=["planes", "bands"])
def test_one_file_may_hold_all_channels(server: str, bands_last: bool) -> None:
    planes = cell_planes(dtype=np.uint16)
    stack = np.stack([planes[name] for name in CHANNELS])
    written = io.BytesIO()
    if bands_last:
        tifffile.imwrite(written, np.moveaxis(stack[:3], 0, 2), photometric="rgb")
    else:
        tifffile.imwrite(written, stack, metadata={"axes": "CYX"}, photometric="minisblack")
    answer = predict(server, {"image": ("a.tif", written.getvalue())}).json()
    likeliest = [int(np.argmax(cell["scores"])) for cell in answer["cells"]]
    assert likeliest == [5, 9, 13]  # a quarter is 64 of 255, once 16 bits are 8
    assert len(answer["notes"]) == 1 + bands_last


def test_12_bits_in_16_are_read_by_their_range_or_the_models() -> None:
    planes = cell_planes(dtype=np.uint16)
    image = np.stack([planes[name] >> 4 for name in CHANNELS], axis=2)
    finder = StandInFinder()
    answer = Analyser(finder, ModelFacts("a", CHANNELS))(image, "model", "rle", 0.5)
    assert len(answer["cells"]) == 3
    assert "with 4095 as full brightness" in answer["notes"][0]
    learned = ModelFacts("a", CHANNELS, white_level=65535)
    answer = Analyser(finder, learned)(image, "model", "rle", 0.5)
    assert (answer["cells"], answer["notes"]) == ([], [])  # dark images of such a model


def test_size_of_cells_is_hinted_at() -> None:
    planes = cell_planes()
    image = np.stack([planes[name] for name in CHANNELS], axis=2)
    seen = []

    def hint(prediction: object, rules: object) -> str:
        seen.append((len(prediction.cells), rules.cell_score))
        return "cells here are small"

    analyser = Analyser(StandInFinder(), ModelFacts("a", CHANNELS), hint)
    assert analyser(image, "model", "rle", 0.4)["notes"] == ["Cells here are small."]
    assert seen == [(3, 0.4)]
    assert analyser(image, "segmenter", "rle", 0.4)["notes"] == []


def test_image_without_cells_is_an_answer(server: str) -> None:
    assert predict(server, upload(cell_planes(cells=0))).json()["cells"] == []


def test_low_cell_scores_are_left_out(server: str) -> None:
    answer = predict(server, upload(cell_planes()), cell_score=0.97).json()
    assert [cell["cell_score"] for cell in answer["cells"]] == [1.0, 0.98]


def test_model_with_one_channel_takes_one_file() -> None:
    with running_server(channels=("blue",)) as address:
        model = requests.get(f"{address}/api/model", timeout=10).json()
        assert (model["channels"], model["optional_channels"]) == (["blue"], [])
        assert len(predict(address, {"blue": png(cell_planes()["blue"])}).json()["cells"]) == 3
        assert len(predict(address, {"image": png(cell_planes()["blue"])}).json()["cells"]) == 3


def test_model_is_told_with_its_classes(server: str) -> None:
    model = requests.get(f"{server}/api/model", timeout=10).json()
    assert [kind["name"] for kind in model["classes"]] == list(NAMES)
    assert [kind["threshold"] for kind in model["classes"]] == pytest.approx(THRESHOLDS)
    assert model["optional_channels"] == ["yellow"]
    assert model["checksum"] == "ab" * 32


def test_model_refuses_or_fails_and_the_next_image_is_served(server: str) -> None:
    refused = predict(server, upload(cell_planes((40, REFUSED_WIDTH))))
    assert "shows nothing" in error_of(refused, 422, "not_predicted")
    error_of(predict(server, upload(cell_planes((40, DEADLY_WIDTH)))), 500, "model_failed")
    late = predict(server, upload(cell_planes((40, ENDLESS_WIDTH))))
    assert "more than 5 seconds" in error_of(late, 504, "too_slow")
    assert len(predict(server, upload(cell_planes())).json()["cells"]) == 3


def export(server: str, kind: str, content: dict) -> requests.Response:
    return requests.post(f"{server}/api/export/{kind}", json=content, timeout=30)


def exported(answer: dict) -> dict:
    return {"image_id": "a-1", **{key: answer[key] for key in ("width", "height", "cells")}}


def test_exported_files_hold_the_same_cells(server: str) -> None:
    answer = predict(server, upload(cell_planes((90, 121)))).json()
    answer["cells"] = answer["cells"][1:]  # a filter of the page
    table = export(server, "table", exported(answer))
    assert table.headers["content-disposition"] == 'attachment; filename="cells.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [int(row["cell_id"]) for row in rows] == [2, 3]
    for row, cell in zip(rows, answer["cells"], strict=True):
        assert float(row["p_nucleoli"]) == pytest.approx(cell["scores"][2], abs=1e-6)
        assert row["called"] == "|".join(NAMES[k] for k in cell["called"])
        assert int(row["area"]) == cell["area"]
    entries = json.loads(export(server, "coco", exported(answer)).text)
    assert [entry["cell_id"] for entry in entries] == [2, 3]
    assert entries[0]["segmentation"] == answer["cells"][0]["segmentation"]
    labels = tifffile.imread(io.BytesIO(export(server, "labels", exported(answer)).content))
    assert labels.shape == (90, 121)
    for cell in answer["cells"]:
        mask = coco_mask.decode(cell["segmentation"]).astype(bool)
        np.testing.assert_array_equal(labels == cell["cell_id"], mask)


def test_export_refuses_what_is_no_cell(server: str) -> None:
    answer = exported(predict(server, upload(cell_planes())).json())
    cell = answer["cells"][0]

    def refused(code: str, status: int = 422, **change: object) -> str:
        return error_of(export(server, "labels", {**answer, **change}), status, code)

    damaged = {"size": cell["segmentation"]["size"], "counts": "a text"}
    assert "cell_id" in refused("cell_twice", cells=[cell, cell])
    assert "cell 1" in refused("wrong_mask", cells=[{**cell, "segmentation": damaged}]).lower()
    assert "masks=rle" in refused("wrong_mask", cells=[{**cell, "segmentation": None}])
    assert "masks=rle" in refused("wrong_mask", width=answer["width"] + 1)
    assert "more pixels" in refused("too_many_pixels", 413, width=2**20, height=2**20)
    assert "scores" in refused("invalid", cells=[{**cell, "scores": [0.5] * 18}])
    assert "image_id" in refused("invalid", image_id="../../etc/passwd")
    reply = requests.post(f"{server}/api/export/table", data=b"{", timeout=10)
    assert "JSON" in error_of(reply, 422, "invalid")
