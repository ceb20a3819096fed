"""The review page in Chromium: keys, reloading, galleries."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from review_folder import review_routes, write_predictions_of_stand_in
from serve_stand_in import running_server
from waiting import wait_for_change, wait_for_text

from hpa_mmdet.io.decisions import Decision, read_decisions
from hpa_mmdet.localizations import NAMES


@pytest.fixture
def review(tmp_path: Path, browser: object) -> Iterator[str]:
    write_predictions_of_stand_in(tmp_path)
    routes = review_routes(tmp_path, tmp_path / "cells.csv", labels={"a1": (4, 7)})
    with running_server(model=False, review=routes.router()) as address:
        yield address


def rows(tmp_path: Path, count: int) -> list[Decision]:
    """Wait for as many rows."""
    for _ in range(100):
        decisions = read_decisions(tmp_path / "cells.csv")
        if len(decisions) >= count:
            break
        time.sleep(0.05)
    assert len(decisions) == count
    return decisions


def begin(page: object, name: str = "Anna") -> None:
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#choices button")
    page.wait_for_selector('#desk[aria-busy="false"]')


def caption_changes(page: object, before: str) -> str:
    return wait_for_change(page, "#caption", before)


def pressed(page: object) -> set[str]:
    return set(page.locator("#choices button[aria-pressed=true] .name").all_inner_texts())


def test_cells_are_named_with_keys_and_the_work_outlives_a_reload(
    review: str, pages: object, tmp_path: Path
) -> None:
    page = pages.open(f"{review}/")  # a server without a model begins with the review
    page.wait_for_selector("body[data-ready]")
    begin(page)
    assert page.locator("[data-page=look]").is_hidden()
    first = page.inner_text("#caption")
    called = pressed(page)
    assert called
    page.keyboard.press("h")
    page.keyboard.press("3")
    expected = called ^ {NAMES[17], NAMES[3]}
    assert pressed(page) == expected
    page.keyboard.press("Enter")
    second = caption_changes(page, first)
    said = rows(tmp_path, 1)[0]
    assert first == f"{said.image_id}, cell {said.cell_id}"
    assert {NAMES[k] for k in said.labels} == expected
    assert said.reviewer == "Anna"
    page.keyboard.press("x")
    third = caption_changes(page, second)
    assert rows(tmp_path, 2)[1].word == "bad_mask"
    page.keyboard.press("Backspace")
    assert caption_changes(page, third) == second
    assert rows(tmp_path, 3)[2].word == "undone"
    assert "1 of 12 cells decided" in page.inner_text("#done-text")
    page.keyboard.press("ArrowRight")
    after = caption_changes(page, second)
    page.reload()
    page.wait_for_selector("#choices button")
    assert page.inner_text("#who-name") == "Anna"
    assert page.inner_text("#caption") in (second, after)
    assert "1 of 12 cells decided" in page.inner_text("#done-text")


def test_nothing_can_be_accepted_without_a_localization(
    review: str, pages: object, tmp_path: Path
) -> None:
    page = pages.open(f"{review}/review")
    page.wait_for_selector("body[data-ready]")
    begin(page)
    while page.locator("#choices button[aria-pressed=true]").count():
        page.locator("#choices button[aria-pressed=true]").first.click()
    assert page.locator("#accept").is_disabled()
    page.locator("#desk-title").click()
    page.keyboard.press("Enter")
    assert rows(tmp_path, 0) == []


def test_gallery_accepts_what_is_not_clicked_away(
    review: str, pages: object, tmp_path: Path
) -> None:
    page = pages.open(f"{review}/review")
    page.wait_for_selector("body[data-ready]")
    begin(page)
    page.select_option("#class", "9")
    page.click("#mode-gallery")
    page.wait_for_selector(".tile img")
    tiles = page.locator(".tile").all()
    assert len(tiles) >= 2
    wrong = tiles[0].get_attribute("aria-label")
    tiles[0].click()
    assert page.inner_text("#accept-all").startswith(f"Accept {len(tiles) - 1} cell")
    page.click("#accept-all")
    decisions = rows(tmp_path, len(tiles) - 1)
    assert all(9 in said.labels for said in decisions)
    assert not any(f"Cell {said.cell_id} of {said.image_id}:" in wrong for said in decisions)
    page.wait_for_selector("#empty:not([hidden])")
    page.click("#mode-one")
    page.wait_for_selector("#one:not([hidden])")
    assert page.inner_text("#caption") == (
        wrong.split(":")[0].replace("Cell ", "").replace(" of ", "|").split("|")[1]
        + f", cell {wrong.split()[1]}"
    )


def test_second_reviewer_takes_a_second_look(review: str, pages: object, tmp_path: Path) -> None:
    page = pages.open(f"{review}/review")
    page.wait_for_selector("body[data-ready]")
    begin(page)
    first = page.inner_text("#caption")
    page.keyboard.press("Enter")
    caption_changes(page, first)
    page.click("#who-change")
    begin(page, "Ben")
    page.select_option("#order", "second_look")
    wait_for_text(page, "#caption", first)
    page.locator("#desk-title").click()
    page.keyboard.press("Enter")
    rows(tmp_path, 2)
    wait_for_text(page, "#done-text", "reviewers agree on 1 of 1")


def test_lost_server_is_told_and_the_answer_can_be_given_again(
    review: str, pages: object, tmp_path: Path
) -> None:
    pages.expected = ["ERR_FAILED"]
    page = pages.open(f"{review}/review")
    lost = True
    # from the start: Chromium may let a request pass that follows the call at once
    page.route("**/decisions", lambda route: route.abort() if lost else route.continue_())
    page.wait_for_selector("body[data-ready]")
    begin(page)
    first = page.inner_text("#caption")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert "cannot be reached" in page.inner_text("#problem")
    assert page.inner_text("#caption") == first
    lost = False
    page.keyboard.press("Enter")
    caption_changes(page, first)
    rows(tmp_path, 1)
