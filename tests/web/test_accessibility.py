"""axe-core finds no serious fault in any page, light or dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from review_folder import review_routes, write_predictions_of_stand_in
from serve_stand_in import cell_planes, running_server
from test_look_page import files_of, find_cells

TOKEN = "a-secret-of-some-length"


@pytest.fixture(scope="module")
def both(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that looks and reviews."""
    folder: Path = tmp_path_factory.mktemp("review")
    write_predictions_of_stand_in(folder)
    routes = review_routes(folder, folder / "cells.csv", labels={"a1": (4, 7)})
    with running_server(review=routes.router()) as address:
        yield address


def serious_faults(page: object) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {fault['nodes'][0]['html'][:160]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_have_no_serious_fault(both: str, pages: object, theme: str) -> None:
    pages.expected = ["422"]
    page = pages.open(both, color_scheme=theme)
    page.wait_for_selector("body[data-ready]")
    assert serious_faults(page) == []
    wrong = files_of({**cell_planes(), "blue": cell_planes((99, 120))["blue"]})
    page.set_input_files("#files", wrong)
    page.click("#go")
    page.wait_for_selector("#problem:not([hidden])")
    assert serious_faults(page) == []
    find_cells(page, files_of(cell_planes(cells=4)))
    page.locator("#legend button").first.click()
    page.locator("#table tbody tr").first.click()
    assert serious_faults(page) == []
    page.goto(f"{both}/api")
    page.wait_for_selector("#paths details")
    page.locator("summary").nth(2).click()
    assert serious_faults(page) == []
    page.goto(f"{both}/review")
    page.wait_for_selector("body[data-ready]")
    assert serious_faults(page) == []
    page.fill("#name", "Anna")
    page.keyboard.press("Enter")
    page.wait_for_selector("#choices button")
    assert serious_faults(page) == []
    page.select_option("#class", "9")
    page.click("#mode-gallery")
    page.wait_for_selector(".tile img")
    page.locator(".tile").first.click()
    assert serious_faults(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_theme_can_be_chosen_and_is_kept(both: str, pages: object, theme: str) -> None:
    page = pages.open(f"{both}/api", color_scheme=theme)
    ground = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(ground)
    page.click("#theme")
    after = page.evaluate(ground)
    assert after != before
    page.reload()
    assert page.evaluate(ground) == after


def test_sign_in_page(browser: object, pages: object) -> None:
    pages.expected = ["401"]
    with running_server(token=TOKEN) as link:
        address = link[: link.index("/enter/")]
        for theme in ("light", "dark"):
            page = pages.open(address, color_scheme=theme)
            page.wait_for_selector("#token")
            page.fill("#token", "guess")
            page.keyboard.press("Enter")
            page.wait_for_selector("#problem:not([hidden])")
            assert serious_faults(page) == []
            page.fill("#token", TOKEN)
            page.keyboard.press("Enter")
            page.wait_for_selector("body[data-ready]")
            assert page.locator("#example").is_visible()
