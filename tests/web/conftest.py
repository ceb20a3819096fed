"""Chromium and servers for the tests of the pages; `make test-web` runs them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serve"))  # the stand-in for the model

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # Chromium refuses to run as root otherwise
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Chromium, or a skip that says how to run these tests."""
    path = os.environ.get("HPA_MMDET_BROWSER")
    if not path:
        pytest.skip("no browser: run `make test-web`, or set HPA_MMDET_BROWSER to Chromium's path")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def server(browser: object) -> Iterator[str]:
    """The address of a server with the stand-in for the model."""
    from serve_stand_in import running_server

    with running_server() as address:
        yield address


class Pages:
    """Opens pages, and remembers what their consoles said."""

    def __init__(self, browser: object) -> None:
        self._browser = browser
        self.complaints: list[str] = []
        self.expected: list[str] = []
        self._contexts: list[object] = []

    def open(self, address: str, **options: object) -> object:
        """Open a page in a browser of its own."""
        options.setdefault("viewport", {"width": 1280, "height": 900})
        context = self._browser.new_context(**options)
        context.set_default_timeout(20_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.goto(address)
        return page

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(part in text for part in self.expected):
            self.complaints.append(text)

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def pages(browser: object) -> Iterator[Pages]:
    """Pages of one test; it fails if a console complained."""
    opened = Pages(browser)
    yield opened
    opened.close()
    assert opened.complaints == []
