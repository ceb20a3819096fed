"""A web server for each test that asks for one."""

from collections.abc import Iterator

import pytest
from web_server import WebServer, serve


@pytest.fixture
def web() -> Iterator[WebServer]:
    """Pictures over HTTP on this machine, served well and badly."""
    with serve() as server:
        yield server
