"""One file from a server that is slow, breaks off, lies and refuses."""

import hashlib
import socket
from pathlib import Path

import pytest
from web_server import WebServer, jpeg

from hpa_mmdet.download.limits import Budget, Limits, RateLimit
from hpa_mmdet.download.transfer import Fetched, NoAnswerError, NotThereError, fetch, open_session
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.pictures import read_picture

PATIENT = Limits(retries=3, backoff_s=0.005, timeout_s=0.3, file_s=5)


def _check(path: Path, digest: str) -> None:
    read_picture(path)


def _fetch(
    url: str, folder: Path, limits: Limits = PATIENT, budget: Budget | None = None
) -> Fetched:
    with open_session(limits, RateLimit(0)) as session:
        return fetch(session, url, folder / "a.jpg", _check, limits, budget or Budget(1 << 30))


@pytest.mark.parametrize(
    ("how", "tries"),
    [
        pytest.param("ok", 1, id="well served"),
        pytest.param("cut", 2, id="cut off in the middle"),
        pytest.param("cut_untagged", 2, id="cut off, no version given"),
        pytest.param("changed", 2, id="another file after the cut"),
        pytest.param("wrong_range", 3, id="another range than asked for"),
        pytest.param("stalls", 2, id="silent in the middle"),
        pytest.param("busy", 3, id="busy twice"),
    ],
)
def test_a_file_arrives_whole(web: WebServer, tmp_path: Path, how: str, tries: int) -> None:
    want = jpeg("red")
    got = _fetch(f"{web.url}/{how}/a_red.jpg", tmp_path)
    assert got.path.read_bytes() == want
    assert got.sha256 == hashlib.sha256(want).hexdigest()
    assert got.size == len(want)
    assert len(web.requests[f"/{how}/a_red.jpg"]) == tries
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_a_broken_transfer_goes_on_where_it_stopped(web: WebServer, tmp_path: Path) -> None:
    budget = Budget(1 << 30)
    _fetch(f"{web.url}/cut/a_red.jpg", tmp_path, budget=budget)
    _, second = web.requests["/cut/a_red.jpg"]
    size = len(jpeg("red"))
    assert second["Range"] == f"bytes={size // 2}-"
    assert second["If-Range"] == '"v1"'
    assert budget.used == size  # nothing came twice


def test_another_range_than_was_asked_for_is_not_received(web: WebServer, tmp_path: Path) -> None:
    budget = Budget(1 << 30)
    _fetch(f"{web.url}/wrong_range/a_red.jpg", tmp_path, budget=budget)
    size = len(jpeg("red"))
    assert budget.used == size // 2 + size  # the first half, and later all of it


def test_what_a_killed_run_left_is_gone_on_with(web: WebServer, tmp_path: Path) -> None:
    url = f"{web.url}/ok/a_red.jpg"
    (tmp_path / "a.jpg").write_bytes(jpeg("red")[:1234])
    (tmp_path / "a.jpg.tag").write_text(f'{{"url": "{url}", "tag": "\\"v1\\""}}')
    assert _fetch(url, tmp_path).path.read_bytes() == jpeg("red")
    assert web.requests["/ok/a_red.jpg"][0]["Range"] == "bytes=1234-"


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param('{"url": "http://other/", "tag": "\\"v1\\""}', id="of another address"),
        pytest.param("{", id="unreadable"),
        pytest.param("[]", id="no object"),
    ],
)
def test_left_overs_of_something_else_are_dropped(web: WebServer, tmp_path: Path, tag: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"something else")
    (tmp_path / "a.jpg.tag").write_text(tag)
    assert _fetch(f"{web.url}/ok/a_red.jpg", tmp_path).path.read_bytes() == jpeg("red")
    assert "Range" not in web.requests["/ok/a_red.jpg"][0]


def test_a_left_over_longer_than_the_file_is_dropped(web: WebServer, tmp_path: Path) -> None:
    url = f"{web.url}/ok/a_red.jpg"
    (tmp_path / "a.jpg").write_bytes(jpeg("red") * 2)
    (tmp_path / "a.jpg.tag").write_text(f'{{"url": "{url}", "tag": "\\"v1\\""}}')
    assert _fetch(url, tmp_path).path.read_bytes() == jpeg("red")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        pytest.param("promises_more", "a transfer that failed .*IncompleteRead", id="too long"),
        pytest.param("promises_less", "a transfer that failed .*a.jpg: found a", id="too short"),
        pytest.param("html", "a transfer that failed .*a.jpg: found", id="a page, not a picture"),
        pytest.param("broken", "found status 500 at every try, expected the file", id="broken"),
        pytest.param("forbidden", "found status 403, expected the file; check", id="forbidden"),
        pytest.param("endless", "or more, expected at most 1,000,000; raise", id="endless"),
    ],
)
def test_a_file_that_cannot_be_had_says_why(
    web: WebServer, tmp_path: Path, how: str, message: str
) -> None:
    limits = Limits(retries=2, backoff_s=0.005, timeout_s=0.5, max_file_bytes=1_000_000)
    with pytest.raises(InputError, match=message) as caught:
        _fetch(f"{web.url}/{how}/a_red.jpg", tmp_path, limits)
    assert str(caught.value).startswith(f"{web.url}/{how}/a_red.jpg: ")
    tries = {"broken": 3, "promises_more": 3, "promises_less": 2, "html": 2}
    assert len(web.requests[f"/{how}/a_red.jpg"]) == tries.get(how, 1)


def test_what_is_not_there_is_told_apart(web: WebServer, tmp_path: Path) -> None:
    with pytest.raises(NotThereError, match="found status 404, expected the file"):
        _fetch(f"{web.url}/none/a_red.jpg", tmp_path)


def test_a_length_over_the_limit_is_refused_before_a_byte_comes(
    web: WebServer, tmp_path: Path
) -> None:
    budget = Budget(1 << 30)
    limits = Limits(retries=0, max_file_bytes=100)
    with pytest.raises(InputError, match="expected at most 100; raise --max-file-mb"):
        _fetch(f"{web.url}/ok/a_red.jpg", tmp_path, limits, budget)
    assert budget.used == 0


def test_a_dripping_server_is_left(web: WebServer, tmp_path: Path) -> None:
    limits = Limits(retries=1, backoff_s=0.005, timeout_s=0.5, file_s=0.1)
    with pytest.raises(InputError, match="not whole after 0 s"):
        _fetch(f"{web.url}/drips/a_red.jpg", tmp_path, limits)


def test_no_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limits = Limits(retries=1, backoff_s=0.005, timeout_s=0.2)
    with pytest.raises(NoAnswerError, match=r"found no answer .*, expected the file; check the ne"):
        _fetch(f"http://127.0.0.1:{port}/a_red.jpg", tmp_path, limits)


def test_the_budget_of_all_files(web: WebServer, tmp_path: Path) -> None:
    budget = Budget(len(jpeg("red")) + 10)
    _fetch(f"{web.url}/ok/a_red.jpg", tmp_path, budget=budget)
    with pytest.raises(InputError, match=r"size cap: found 0\.000 GB fetched, .*raise --max-total"):
        _fetch(f"{web.url}/ok/b_red.jpg", tmp_path, budget=budget)


def test_requests_are_spaced_by_the_rate() -> None:
    rate = RateLimit(1000)
    with pytest.MonkeyPatch.context() as patch:
        slept: list[float] = []
        patch.setattr("hpa_mmdet.download.limits.time.monotonic", lambda: 5.0)
        patch.setattr("hpa_mmdet.download.limits.time.sleep", slept.append)
        for _ in range(3):
            rate.wait()
    assert slept == pytest.approx([0, 0.001, 0.002])
