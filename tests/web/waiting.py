"""Waiting for what a page shows; Playwright's own way needs eval, which the policy forbids."""

import time
from collections.abc import Callable
from typing import Any

_PATIENCE_S = 20


def wait_until(page: object, read: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """Read something until it is as wanted, however slow the machine is, and give it."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds(found := read()):
        assert time.monotonic() < deadline, f"after {_PATIENCE_S} s still {found!r:.200}"
        page.wait_for_timeout(40)
    return found


def wait_for_text(page: object, selector: str, wanted: str) -> None:
    """Wait until an element's text holds `wanted`."""
    wait_until(page, lambda: page.inner_text(selector), lambda text: wanted in text)


def wait_for_change(page: object, selector: str, before: str) -> str:
    """Wait until an element's text is another one, and give it."""
    return wait_until(page, lambda: page.inner_text(selector), lambda text: text != before)
