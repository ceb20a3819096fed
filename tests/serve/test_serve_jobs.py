"""Uploads that are followed, cancelled, and many at once."""

import json
import multiprocessing
import threading
import time
from collections import Counter

import numpy as np
import pytest
import requests
from serve_stand_in import (
    CHANNELS,
    ENDLESS_WIDTH,
    REFUSED_WIDTH,
    SLOW_WIDTH,
    cell_planes,
    running_server,
    upload,
)

from hpa_mmdet.serve.limits import ServerLimits


def begin(server: str, planes: dict) -> dict:
    reply = requests.post(f"{server}/api/jobs", files=upload(planes), timeout=20)
    assert reply.status_code == 202, reply.text
    return reply.json()


def states(server: str, job_id: str) -> list[dict]:
    """Follow a job to its end."""
    with requests.get(f"{server}/api/jobs/{job_id}/events", stream=True, timeout=30) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in events.iter_lines(decode_unicode=True) if line]
    assert set(lines[::2]) == {"event: state"}
    return [json.loads(line.removeprefix("data: ")) for line in lines[1::2]]


def busy_places(server: str) -> int:
    return requests.get(f"{server}/api/health", timeout=10).json()["jobs"]


def wait_until_idle(server: str) -> None:
    for _ in range(200):
        if busy_places(server) == 0:
            return
        time.sleep(0.05)
    raise AssertionError("jobs are left")


def test_job_goes_through_its_states_and_gives_pixels_and_cells(server: str) -> None:
    planes = cell_planes((40, SLOW_WIDTH), dtype=np.uint16)
    job = begin(server, planes)
    seen = states(server, job["job_id"])
    names = [state["state"] for state in seen]
    assert names[-1] == "done"
    order = ["decoding", "waiting", "predicting", "done"]
    assert [order.index(name) for name in names] == sorted(order.index(name) for name in names)
    assert (seen[-1]["width"], seen[-1]["height"], seen[-1]["depth_bits"]) == (SLOW_WIDTH, 40, 16)
    pixels = requests.get(f"{server}/api/jobs/{job['job_id']}/pixels", timeout=10).content
    decoded = np.frombuffer(pixels, "<u2").reshape(4, 40, SLOW_WIDTH)
    for plane, name in zip(decoded, CHANNELS, strict=True):
        np.testing.assert_array_equal(plane, planes[name])
    state = requests.get(f"{server}/api/jobs/{job['job_id']}", timeout=10).json()
    assert len(state["prediction"]["cells"]) == 3
    address = f"{server}/api/jobs/{job['job_id']}"
    assert requests.delete(address, timeout=10).status_code == 204
    for path in ("", "/pixels", "/events"):
        assert requests.get(address + path, timeout=10).status_code == 404


def test_failed_job_says_why(server: str) -> None:
    job = begin(server, cell_planes((40, REFUSED_WIDTH)))
    last = states(server, job["job_id"])[-1]
    assert last["state"] == "failed"
    assert "shows nothing" in last["error"]["message"]


def test_cancelled_job_frees_its_place(server: str) -> None:
    jobs = [begin(server, cell_planes((40, SLOW_WIDTH))) for _ in range(3)]
    assert jobs[2]["position"] >= 1
    for job in jobs:
        requests.delete(f"{server}/api/jobs/{job['job_id']}", timeout=10)
    assert busy_places(server) == 0


def test_image_in_the_model_is_cancelled_at_once() -> None:
    with running_server(ServerLimits(predict_s=100.0)) as server:
        endless = begin(server, cell_planes((40, ENDLESS_WIDTH)))["job_id"]
        address = f"{server}/api/jobs/{endless}"
        while requests.get(address, timeout=10).json()["state"] != "predicting":
            time.sleep(0.02)
        before = _children()
        assert requests.delete(address, timeout=10).status_code == 204
        for _ in range(100):  # until the process is gone, long before its time is over
            if before - _children():
                break
            time.sleep(0.05)
        assert len(before - _children()) == 1
        after = begin(server, cell_planes())  # the model is started again for it
        assert states(server, after["job_id"])[-1]["state"] == "done"


def test_model_finishes_a_short_image_rather_than_being_started_again(
    server: str,
) -> None:
    states(server, begin(server, cell_planes((40, SLOW_WIDTH)))["job_id"])  # it knows the time
    processes = _children()
    short = begin(server, cell_planes((40, SLOW_WIDTH)))["job_id"]
    while requests.get(f"{server}/api/jobs/{short}", timeout=10).json()["state"] != "predicting":
        time.sleep(0.02)
    requests.delete(f"{server}/api/jobs/{short}", timeout=10)
    after = begin(server, cell_planes())
    assert states(server, after["job_id"])[-1]["state"] == "done"
    assert _children() == processes


def _children() -> set[int | None]:
    return {process.pid for process in multiprocessing.active_children()}


def test_closed_page_cancels_its_job() -> None:
    with running_server(ServerLimits(abandon_s=4.0)) as server:
        for _ in range(12):  # more than the model can finish before the pages are missed
            try:
                job = begin(server, cell_planes((40, SLOW_WIDTH)))
            except AssertionError:
                break  # all places are taken
            events = requests.get(
                f"{server}/api/jobs/{job['job_id']}/events", stream=True, timeout=10
            )
            events.close()
        wait_until_idle(server)


def test_forgotten_job_is_given_up() -> None:
    with running_server(ServerLimits(abandon_s=0.5)) as server:
        job = begin(server, cell_planes())
        wait_until_idle(server)
        time.sleep(3.0)  # longer than its time, and than the server looks for such jobs
        assert requests.get(f"{server}/api/jobs/{job['job_id']}", timeout=10).status_code == 404


@pytest.mark.parametrize("route", ["predict", "jobs"])
def test_fifty_clients_are_answered_or_told_when_to_come_back(server: str, route: str) -> None:
    replies: list[requests.Response] = []
    files = upload(cell_planes((200, 240)))

    def ask() -> None:
        replies.append(requests.post(f"{server}/api/{route}", files=files, timeout=120))

    clients = [threading.Thread(target=ask) for _ in range(50)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(120)
    statuses = Counter(reply.status_code for reply in replies)
    assert set(statuses) <= {200, 202, 503}
    assert sum(statuses.values()) == 50
    assert statuses[200] + statuses[202] >= 4
    for reply in replies:
        if reply.status_code == 503:
            assert 1 <= int(reply.headers["retry-after"]) <= 60
            assert "busy" in reply.json()["error"]["message"]
        elif route == "predict":
            assert len(reply.json()["cells"]) == 3
        else:
            requests.delete(f"{server}/api/jobs/{reply.json()['job_id']}", timeout=10)
    wait_until_idle(server)
