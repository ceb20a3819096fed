"""Running the application: the socket, and clients that open it and say nothing."""

import asyncio
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from hpa_mmdet.errors import InputError

_MOST_CONNECTIONS = 512


class _ImpatientProtocol(H11Protocol):
    """Closes connections whose request does not arrive; uvicorn itself would wait for ever."""

    patience_s = 15.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait_for_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait_for_request(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.patience_s, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def listen(host: str, port: int) -> socket.socket:
    """Open the port; 0 takes a free one.

    Raises:
        InputError: it cannot be opened.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen()  # whoever is told the address may call at once
    except OSError as error:
        opened.close()
        raise InputError(
            f"--port {port}",
            problem=f"cannot be opened on {host} ({error.strerror or error})",
            remedy="give another one, or 0 for any free one",
        ) from error
    return opened


def make_server(app: ASGIApp, patience_s: float) -> uvicorn.Server:
    """Prepare a server; `run(sockets=[...])` serves until `should_exit` is set.

    Args:
        app: the application.
        patience_s: how long a connection may stay without a whole request head.
    """
    protocol = type("Protocol", (_ImpatientProtocol,), {"patience_s": patience_s})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_level="warning",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)
