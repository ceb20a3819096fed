"""The review's routes: orders, pictures, decisions, progress."""

import io
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image
from review_folder import review_routes, write_predictions_of_stand_in
from serve_stand_in import running_server

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.decisions import read_decisions
from hpa_mmdet.io.label_tables import read_cell_labels
from hpa_mmdet.serve.review_queue import read_queue_file


class Review:
    """A client of one review."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder, self.table = address, folder, folder / "cells.csv"

    def get(self, path: str, **query: object) -> requests.Response:
        return requests.get(f"{self.address}/api/review{path}", params=query, timeout=20)

    def post(self, path: str, **content: object) -> requests.Response:
        return requests.post(f"{self.address}/api/review{path}", json=content, timeout=20)

    def queue(self, **query: object) -> list[tuple[str, int]]:
        reply = self.get("/queue", **{"limit": 200, **query})
        assert reply.status_code == 200, reply.text
        return [(cell["image_id"], cell["cell_id"]) for cell in reply.json()["cells"]]

    def decide(self, key: tuple[str, int], labels: list[int], who: str = "Anna") -> dict:
        said = {"image_id": key[0], "cell_id": key[1], "labels": labels, "bad_mask": not labels}
        reply = self.post("/decisions", reviewer=who, decisions=[said])
        assert reply.status_code == 200, reply.text
        return reply.json()


@pytest.fixture
def review(tmp_path: Path) -> Iterator[Review]:
    write_predictions_of_stand_in(tmp_path)
    queue_file = [("a2", 3), ("a0", 1)]
    routes = review_routes(
        tmp_path, tmp_path / "cells.csv", labels={"a1": (4, 7)}, queue_file=queue_file
    )
    with running_server(model=False, review=routes.router()) as address:
        yield Review(address, tmp_path)


def test_orders_hold_every_cell_once(review: Review) -> None:
    everything = {("a0", k) for k in (1, 2, 3)} | {("a1", k) for k in (1, 2, 3, 4)}
    everything |= {("a2", k) for k in (1, 2, 3, 4, 5)}
    for order in ("least_sure", "class", "random"):
        cells = review.queue(order=order)
        assert len(cells) == 12
        assert set(cells) == everything
    assert review.queue(order="random", seed=1) != review.queue(order="random", seed=2)
    assert review.queue(order="random", seed=1) == review.queue(order="random", seed=1)
    assert review.queue(order="file") == [("a2", 3), ("a0", 1)]


def test_least_sure_and_class_orders_follow_the_scores(review: Review) -> None:
    cells = review.get("/queue", limit=200).json()["cells"]
    p = np.clip(np.array([cell["scores"] for cell in cells]), 1e-6, 1 - 1e-6)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(axis=1)
    assert (np.diff(entropy) <= 1e-6).all()
    of_class = review.get("/queue", **{"order": "class", "class": 9, "limit": 200}).json()["cells"]
    assert of_class
    assert all(9 in cell["called"] for cell in of_class)
    assert (np.diff([cell["scores"][9] for cell in of_class]) <= 0).all()


def test_labels_of_the_image_are_at_hand(review: Review) -> None:
    by_image = {cell["image_id"]: cell for cell in review.get("/queue").json()["cells"]}
    assert by_image["a1"]["image_labels"] == [4, 7]
    assert by_image["a1"]["image_labels_from"] == "table"
    assert by_image["a0"]["image_labels_from"] == "model"
    assert set(by_image["a0"]["image_labels"]) >= set(by_image["a0"]["called"])


def test_pixels_show_the_cell_and_its_neighbours(review: Review) -> None:
    cells = review.get("/queue", limit=200).json()["cells"]
    cell = next(c for c in cells if (c["image_id"], c["cell_id"]) == ("a2", 2))
    left, top, right, bottom = cell["box"]
    height, width = bottom - top, right - left
    reply = review.get("/pixels", image_id="a2", cell_id=2)
    assert reply.headers["x-depth-bits"] == "8"
    planes = np.frombuffer(reply.content[: 4 * height * width], np.uint8)
    labels = np.frombuffer(reply.content[4 * height * width :], "<u2").reshape(height, width)
    for name, plane in zip(cell["channels"], planes.reshape(4, height, width), strict=True):
        image = np.array(Image.open(review.folder / "images" / f"a2_{name}.png"))
        np.testing.assert_array_equal(plane, image[top:bottom, left:right])
        if name == "blue":
            np.testing.assert_array_equal(labels > 0, plane == 255)
    assert 1 in labels
    assert len(np.unique(labels)) > 2


def test_thumbnail_is_a_picture(review: Review) -> None:
    picture = Image.open(io.BytesIO(review.get("/thumbnail", image_id="a0", cell_id=1).content))
    assert max(picture.size) <= 168


def test_decided_cells_leave_the_queue_and_can_be_taken_back(review: Review) -> None:
    first, second = review.queue()[:2]
    review.decide(first, [3, 0])
    progress = review.decide(second, [])
    assert (progress["total"], progress["done"], progress["bad_masks"]) == (12, 2, 1)
    assert first not in review.queue()
    undone = review.post("/undo", reviewer="Anna").json()
    assert (undone["cell"]["image_id"], undone["cell"]["cell_id"]) == second
    assert undone["cell"]["bad_mask"]
    assert undone["progress"]["done"] == 1
    assert review.queue()[0] == second
    assert [said.word for said in read_decisions(review.table)] == ["", "bad_mask", "undone"]
    assert read_cell_labels(review.table) == {first[0]: {first[1]: (0, 3)}}


def test_second_reviewer_is_compared(review: Review) -> None:
    one, two = review.queue()[:2]
    called = review.get("/queue", limit=1).json()["cells"][0]["called"]
    review.decide(one, called)
    review.decide(two, [18])
    assert review.queue(reviewer="Ben", second_look=True) == [one, two]
    assert review.queue(reviewer="Anna", second_look=True) == []
    review.decide(one, called, who="Ben")
    progress = review.decide(two, [17], who="Ben")
    assert progress["by_reviewer"] == {"Anna": 2, "Ben": 2}
    assert (progress["seen_by_several"], progress["reviewers_agree"]) == (2, 1)
    assert (progress["compared_with_model"], progress["agree_with_model"]) == (1, 1)
    assert progress["unsettled"] == 1


def test_restarted_review_goes_on(review: Review) -> None:
    first = review.queue()[0]
    review.decide(first, [5])
    again = review_routes(review.folder, review.table)
    with running_server(model=False, review=again.router()) as address:
        assert first not in Review(address, review.folder).queue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"labels": [19]}, "invalid"),
        ({"labels": []}, "no_label"),
        ({"labels": [1], "bad_mask": True}, "no_label"),
        ({"labels": [1], "cell_id": 99}, "no_cell"),
        ({"labels": [1], "image_id": "../a0"}, "no_cell"),
        ({"labels": [1], "reviewer": "=cmd()"}, "invalid"),
        ({"labels": [1], "reviewer": "a\nb"}, "invalid"),
        ({"labels": [1], "reviewer": ""}, "invalid"),
    ],
)
def test_bad_decisions_are_refused_and_not_written(
    review: Review, content: dict, code: str
) -> None:
    reviewer = content.pop("reviewer", "Anna")
    said = {"image_id": "a0", "cell_id": 1, **content}
    reply = review.post("/decisions", reviewer=reviewer, decisions=[said])
    assert reply.status_code in (404, 422)
    assert reply.json()["error"]["code"] == code
    assert read_decisions(review.table) == []


def test_missing_images_and_edited_tables_are_told(review: Review) -> None:
    (review.folder / "images" / "a0_red.png").unlink()
    reply = review.get("/pixels", image_id="a0", cell_id=1)
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "no_pictures")
    assert str(review.folder) not in reply.text
    with review.table.open("a") as file:
        file.write("a,b\n")
    reply = review.get("/queue")
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "table_damaged")
    assert str(review.folder) not in reply.text


def test_queue_file_names_predicted_cells(tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    path.write_text("ID,cell_id,why\na,2,x\nb,1,y\n")
    known = dict.fromkeys([("a", 2), ("b", 1)])
    assert read_queue_file(path, known) == [("a", 2), ("b", 1)]
    with pytest.raises(InputError, match="no cell 1 of b among the predictions"):
        read_queue_file(path, {("a", 2): None})


def test_review_without_cells_is_refused(tmp_path: Path) -> None:
    write_predictions_of_stand_in(tmp_path, images=0)
    with pytest.raises(InputError, match="no cell to review"):
        review_routes(tmp_path, tmp_path / "cells.csv")


def test_killed_server_loses_no_acknowledged_decision(tmp_path: Path) -> None:
    predictions, images = write_predictions_of_stand_in(tmp_path / "review", images=12)
    table = tmp_path / "cells.csv"
    command = [sys.executable, "-m", "hpa_mmdet", "serve", "--port", "0", "--review", predictions]
    command += ["--images", images, "--labels", table]
    acknowledged: list[tuple[str, int]] = []
    for _ in range(2):  # the second server goes on with the first one's table
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                review = Review(_address_of(server), tmp_path)
                done = review.get("").json()["progress"]["done"]
                assert len(acknowledged) <= done <= len(acknowledged) + 1
                acknowledged += list(_decide_until_it_dies(review, server))
            finally:
                server.kill()
    kept = {decision.key for decision in read_decisions(table)}
    assert set(acknowledged) <= kept
    assert len(kept) <= len(acknowledged) + 2  # each may have written one it never told of


def _address_of(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"(http://\S+)", line):
            return found[1]
    raise AssertionError("the server ended")


def _decide_until_it_dies(
    review: Review, server: "subprocess.Popen[str]"
) -> Iterator[tuple[str, int]]:
    for number, key in enumerate(review.queue(order="random")):
        if number == 20:
            threading.Timer(0.01, server.kill).start()
        try:
            review.decide(key, [3])
        except requests.RequestException:
            return
        yield key
    raise AssertionError("the server was not killed at work")
