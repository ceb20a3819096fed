"""A web server on this machine that serves pictures well and badly."""

import io
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image

SHAPE_HW = (60, 110)


@cache
def jpeg(channel: str, seed: int = 0) -> bytes:
    """A channel drawn in its colour, as the Atlas serves it."""
    grey = np.random.default_rng(seed).integers(0, 255, SHAPE_HW).astype(np.uint8)
    bands = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}[channel]
    buffer = io.BytesIO()
    pixels = grey[..., None] * np.array(bands, np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


@dataclass
class WebServer:
    """What the server does is in the first folder of a path: /cut/a_red.jpg is cut off."""

    url: str = ""
    requests: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    pages: dict[str, bytes] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: WebServer

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        state = self.state
        state.times.append(time.monotonic())
        seen = state.requests[self.path]
        seen.append(dict(self.headers))
        if self.path in state.pages:
            return self._send(state.pages[self.path])
        how = self.path.split("/")[1]
        channel = self.path.rsplit("_", 1)[-1].split(".")[0]
        body = jpeg(channel) if channel in ("red", "green", "blue", "yellow") else b""
        getattr(self, f"_{how}", self._missing)(body, len(seen))

    def _send(
        self, body: bytes, status: int = 200, length: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _ok(self, body: bytes, count: int) -> None:
        """Whole, or the range asked for."""
        asked = self.headers.get("Range")
        if asked and self.headers.get("If-Range") == '"v1"':
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                return self._send(b"", 416)
            content_range = f"bytes {start}-{len(body) - 1}/{len(body)}"
            return self._send(body[start:], 206, ETag='"v1"', Content_Range=content_range)
        return self._send(body, ETag='"v1"')

    def _cut(self, body: bytes, count: int) -> None:
        """The first answer breaks off in the middle, further ones are good."""
        if count > 1:
            return self._ok(body, count)
        self._send(body[: len(body) // 2], length=len(body), ETag='"v1"')
        self.close_connection = True

    def _cut_untagged(self, body: bytes, count: int) -> None:
        """As above, but without a version: it cannot be gone on with."""
        self._send(body[: len(body) // 2] if count == 1 else body, length=len(body))
        self.close_connection = True

    def _changed(self, body: bytes, count: int) -> None:
        """Broken off, and then another file under the same address."""
        if count == 1:
            self._send(b"old" * 50, length=len(body), ETag='"v0"')
            self.close_connection = True
        else:
            self._ok(body, count)

    def _wrong_range(self, body: bytes, count: int) -> None:
        """Answers a range with the beginning of the file, once."""
        if count == 2:
            return self._send(body, 206, ETag='"v1"', Content_Range=f"bytes 0-9/{len(body)}")
        return self._cut(body, count)

    def _promises_more(self, body: bytes, count: int) -> None:
        self._send(body, length=len(body) + 100)
        self.close_connection = True

    def _promises_less(self, body: bytes, count: int) -> None:
        self._send(body, length=len(body) - 1000)

    def _stalls(self, body: bytes, count: int) -> None:
        """Half, then silence beyond the client's patience, once."""
        if count > 1:
            return self._ok(body, count)
        self._send(body[: len(body) // 2], length=len(body), ETag='"v1"')
        self.wfile.flush()
        time.sleep(0.6)
        self.close_connection = True

    def _drips(self, body: bytes, count: int) -> None:
        """Never silent for long, never done."""
        self._send(b"", length=len(body))
        try:
            for at in range(40):
                self.wfile.write(body[at : at + 1])
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass
        self.close_connection = True

    def _busy(self, body: bytes, count: int) -> None:
        if count <= 2:
            return self._send(b"later", 503, Retry_After="0")
        return self._ok(body, count)

    def _broken(self, body: bytes, count: int) -> None:
        self._send(b"oh", 500)

    def _forbidden(self, body: bytes, count: int) -> None:
        self._send(b"no", 403)

    def _html(self, body: bytes, count: int) -> None:
        self._send(b"<html>Welcome to the hotel network</html>")

    def _endless(self, body: bytes, count: int) -> None:
        """No length given, and more than anyone wants."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b"x" * 10_000)
        except OSError:
            pass
        self.close_connection = True

    def _moved(self, body: bytes, count: int) -> None:
        self._send(b"", 302, Location=self.path.replace("/moved/", "/ok/"))

    def _missing(self, body: bytes, count: int) -> None:
        self._send(b"nothing", 404)


@contextmanager
def serve() -> Iterator[WebServer]:
    """Start the server on a free port of 127.0.0.1, and stop it."""
    state = WebServer()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()
    thread.join()
