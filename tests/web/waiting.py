"""Waiting for what a page shows; Playwright's own way needs eval, which the policy forbids."""

import time

_PATIENCE_S = 20


def wait_for_text(page: object, selector: str, wanted: str) -> None:
    """Wait until an element's text holds `wanted`."""
    deadline = time.monotonic() + _PATIENCE_S
    while wanted not in (text := page.inner_text(selector)):
        assert time.monotonic() < deadline, f"{selector} shows {text!r}, not {wanted!r}"
        page.wait_for_timeout(40)


def wait_for_change(page: object, selector: str, before: str) -> str:
    """Wait until an element's text is another one, and give it."""
    deadline = time.monotonic() + _PATIENCE_S
    while (text := page.inner_text(selector)) == before:
        assert time.monotonic() < deadline, f"{selector} still shows {before!r}"
        page.wait_for_timeout(40)
    return text
