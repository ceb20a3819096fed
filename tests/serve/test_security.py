"""Who may ask, from where, and what browsers are told."""

import re
import socket
from pathlib import Path

import pytest
import requests
from serve_stand_in import cell_planes, running_server, upload

from hpa_mmdet.cli.serve import main
from hpa_mmdet.serve.app import STATIC
from hpa_mmdet.serve.security import Access, is_loopback

TOKEN = "a-secret-of-some-length"


@pytest.mark.parametrize("path", ["/", "/api", "/api/health", "/nothing", "/static/look.js"])
def test_every_answer_has_the_headers(server: str, path: str) -> None:
    headers = requests.get(server + path, timeout=10).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_pages_have_no_inline_script_or_style_and_load_nothing_from_elsewhere() -> None:
    for page in STATIC.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", text) == []
        assert re.findall(r"(?:src|href)=\"(?!/)[^#\"]", text) == []
    for module in STATIC.glob("*.js"):
        text = module.read_text(encoding="utf-8")
        assert "innerHTML" not in text
        assert "eval(" not in text
        assert re.findall(r"https?://", text) == []


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd", "/static/..%2fapp.py"],
)
def test_only_the_static_folder_is_served(server: str, path: str) -> None:
    where = server.removeprefix("http://")
    host, port = where.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {where}\r\nConnection: close\r\n\r\n".encode()
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 404")


def test_foreign_hosts_and_pages_are_refused(server: str) -> None:
    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(
            f"{server}/api/predict", files=upload(cell_planes()), headers=named, timeout=20
        ).status_code

    assert status(host="evil.example") == 421
    assert status(host="127.0.0.1.evil.example") == 421
    assert status(origin="https://evil.example") == 403
    assert status(origin="null") == 403
    assert status(sec_fetch_site="cross-site") == 403
    assert status(origin=server, sec_fetch_site="same-origin") == 200


def test_errors_tell_nothing_of_the_machine(server: str) -> None:
    for reply in (
        requests.get(f"{server}/api/jobs/unknown", timeout=10),
        requests.get(f"{server}/api/nothing", timeout=10),
        requests.put(f"{server}/api/health", timeout=10),
        requests.post(f"{server}/api/predict?instances=x", timeout=10),
    ):
        assert 400 <= reply.status_code < 500
        assert set(reply.json()) == {"error"}
        assert not re.search(
            r"/|Traceback|python|starlette|fastapi", reply.json()["error"]["message"]
        )
    assert requests.put(f"{server}/api/health", timeout=10).headers["allow"] == "GET"


def test_token_is_asked_for_everywhere_but_for_health() -> None:
    with running_server(token=TOKEN) as link:
        address = link[: link.index("/enter/")]
        assert requests.get(f"{address}/api/health", timeout=10).status_code == 200
        for path in ("/api/model", "/static/look.js", "/api/openapi.json", "/"):
            assert requests.get(address + path, timeout=10).status_code == 401
        page = {"accept": "text/html"}
        answer = requests.get(address, headers=page, timeout=10, allow_redirects=False)
        assert answer.headers["location"] == "/sign-in"
        for header, status in ((f"Bearer {TOKEN}", 200), (f"Bearer {TOKEN}x", 401), (TOKEN, 401)):
            asked = {"authorization": header}
            assert (
                requests.get(f"{address}/api/model", headers=asked, timeout=10).status_code
                == status
            )
        browser = requests.Session()
        answer = browser.get(link, headers=page, timeout=10, allow_redirects=False)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
        assert TOKEN not in cookie
        assert browser.get(f"{address}/api/model", timeout=10).status_code == 200
        other = requests.Session()
        other.get(link, timeout=10)  # a link works once
        assert other.get(f"{address}/api/model", timeout=10).status_code == 401


def test_token_can_be_typed_in() -> None:
    with running_server(token=TOKEN) as link:
        address = link[: link.index("/enter/")]
        browser = requests.Session()
        assert browser.get(f"{address}/sign-in", timeout=10).status_code == 200
        wrong = browser.post(f"{address}/sign-in", data=b"guess", timeout=10)
        assert wrong.json()["error"]["message"] == "This is not the server's token."
        assert browser.post(f"{address}/sign-in", data=b"a" * 9999, timeout=10).status_code == 413
        assert browser.get(f"{address}/api/model", timeout=10).status_code == 401
        assert browser.post(f"{address}/sign-in", data=TOKEN, timeout=10).status_code == 204
        assert browser.get(f"{address}/api/model", timeout=10).status_code == 200


def test_links_and_sessions_are_those_of_one_server() -> None:
    one, other = Access(TOKEN), Access(TOKEN)
    key = one.new_link().removeprefix("/enter/")
    assert not other.use_link(key)
    assert one.use_link(key)
    assert not one.use_link(key)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("", False),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("lab-server", False)],
)  # fmt: skip
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "other machines reach this address, which needs a token"),
        (["--token", "short"], "shorter than 16 letters"),
        ([], "there is no demo model in work_dirs/demo/train/fitted.pth"),
        (["--max-queue", "0"], "--max-queue: 0 is not above 0"),
        (["--review", "r"], "--review: needs --images too"),
        (["--model", "no.py", "no.pth"], "no.py: there is no such file"),
    ],
    ids=["open host", "short token", "no model", "limit", "review", "model"],
)
def test_tool_refuses_bad_arguments(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["--port", "0", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_taken_port_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.py"
    config.touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["--port", port, "--model", str(config), str(config)]) == 2
    assert f"--port {port}: cannot be opened" in capsys.readouterr().err
