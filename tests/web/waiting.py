"""Waiting for what a page shows; Playwright's own way needs eval, which the policy forbids."""

import time
from collections.abc import Callable

_PATIENCE_S = 20


def wait_until(page: object, holds: Callable[[], bool], wanted: str) -> None:
    """Wait until something holds, however slow the machine is; `wanted` says what, if it never does."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"after {_PATIENCE_S} s not yet so: {wanted}"
        page.wait_for_timeout(40)


def wait_for_text(page: object, selector: str, wanted: str) -> None:
    """Wait until an element's text holds `wanted`."""
    wait_until(page, lambda: wanted in page.inner_text(selector), f"{selector} shows {wanted!r}")


def wait_for_change(page: object, selector: str, before: str) -> str:
    """Wait until an element's text is another one, and give it."""
    wait_until(
        page, lambda: page.inner_text(selector) != before, f"{selector} shows not {before!r}"
    )
    return page.inner_text(selector)
