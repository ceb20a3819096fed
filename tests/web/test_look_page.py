"""The first page in Chromium: images in, cells on the picture, files out."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import requests
import tifffile
from PIL import Image
from serve_stand_in import CHANNELS, REFUSED_WIDTH, cell_planes, png, upload
from waiting import wait_for_text, wait_until

from hpa_mmdet.localizations import NAMES

SHAPE_HW = (300, 400)
PREDICTING = {"state": "predicting", "width": SHAPE_HW[1], "height": SHAPE_HW[0]}
REFUSED = {
    **PREDICTING,
    "state": "failed",
    "error": {"code": "refused", "message": "image: shows nothing"},
}


def files_of(planes: dict, title: str = "plate1_A01") -> list[dict]:
    """What a browser is given as files."""
    return [
        {"name": f"{title}_{name}.png", "mimeType": "image/png", "buffer": png(plane)}
        for name, plane in planes.items()
    ]


def find_cells(page: object, files: list[dict]) -> None:
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#files", files)
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")


def place_of(page: object, x: float, y: float, shape_hw: tuple[int, int] = SHAPE_HW) -> tuple:
    """Where a pixel of the image is on the screen, while the whole image is shown."""
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    scale = min(box["width"] / shape_hw[1], box["height"] / shape_hw[0])
    return (
        box["x"] + box["width"] / 2 + (x + 0.5 - shape_hw[1] / 2) * scale,
        box["y"] + box["height"] / 2 + (y + 0.5 - shape_hw[0] / 2) * scale,
    )


def middle_of(cell: dict) -> tuple[float, float]:
    x, y, width, height = cell["bbox"]
    return x + width / 2, y + height / 2


def shown_cells(page: object) -> list[int]:
    return [int(text) for text in page.locator("#table tbody td:first-child").all_inner_texts()]


@pytest.fixture(scope="module")
def answer(server: str) -> dict:
    """What the API says of the same images."""
    planes = cell_planes(SHAPE_HW, cells=5)
    reply = requests.post(f"{server}/api/predict", files=upload(planes), timeout=60)
    return reply.json()


def test_cells_are_shown_pointed_at_filtered_and_sorted(
    server: str, pages: object, answer: dict
) -> None:
    page = pages.open(server)
    assert page.locator("#go").is_disabled()
    find_cells(page, files_of(cell_planes(SHAPE_HW, cells=5)))
    assert page.inner_text("#result-title") == "5 cells in plate1_A01"
    by_id = {cell["cell_id"]: cell for cell in answer["cells"]}
    assert sorted(shown_cells(page)) == sorted(by_id)

    page.mouse.move(*place_of(page, *middle_of(by_id[3])))
    wait_for_text(page, "#cell-title", "Cell 3")
    numbers = page.locator("#bars .number").all_inner_texts()
    assert [float(number) for number in numbers] == [round(s, 2) for s in by_id[3]["scores"]]
    called = page.locator("#bars .called .name").all_inner_texts()
    assert set(called) == {NAMES[k] for k in by_id[3]["called"]}
    page.mouse.click(*place_of(page, *middle_of(by_id[4])))
    page.mouse.move(*place_of(page, 1, 1))
    assert page.inner_text("#cell-title") == "Cell 4"
    assert page.locator("#table tr.chosen td:first-child").inner_text() == "4"

    confidence = {k: c["cell_score"] * c["scores"][c["called"][0]] for k, c in by_id.items()}
    assert shown_cells(page) == sorted(by_id, key=lambda k: -confidence[k])
    page.click("[data-sort=cell_id]")
    assert shown_cells(page) == [1, 2, 3, 4, 5]
    page.click("[data-sort=cell_id]")
    assert shown_cells(page) == [5, 4, 3, 2, 1]
    assert page.locator("th").first.get_attribute("aria-sort") == "descending"

    least = sorted(confidence.values())[2]
    page.evaluate(
        """value => { const slider = document.getElementById('confidence');
        slider.value = value; slider.dispatchEvent(new Event('input')); }""",
        np.ceil(least * 100) / 100,
    )
    kept = {k for k, value in confidence.items() if value >= np.ceil(least * 100) / 100}
    assert set(shown_cells(page)) == kept
    assert page.inner_text("#shown") == f"{len(kept)} of 5 cells shown"

    page.evaluate("""() => { const slider = document.getElementById('confidence');
        slider.value = 0; slider.dispatchEvent(new Event('input')); }""")
    page.locator("#legend button").first.click()
    index = int(page.locator("#legend button[aria-pressed=true]").get_attribute("data-index"))
    assert set(shown_cells(page)) == {k for k, c in by_id.items() if index in c["called"]}
    page.click("#legend-all")
    assert len(shown_cells(page)) == 5


def test_keys_go_from_cell_to_cell_and_the_table_moves_the_picture(
    server: str, pages: object
) -> None:
    page = pages.open(server)
    find_cells(page, files_of(cell_planes(SHAPE_HW, cells=5)))
    order = shown_cells(page)
    page.focus("#canvas")
    for cell_id in order[:3]:
        page.keyboard.press("n")
        assert page.inner_text("#cell-title") == f"Cell {cell_id}"
    page.keyboard.press("p")
    assert page.inner_text("#cell-title") == f"Cell {order[1]}"
    page.keyboard.press("Escape")
    assert page.inner_text("#cell-title") == "Point at a cell"
    canvas = page.locator("#canvas")
    before = canvas.screenshot()
    page.locator("#table tbody tr").last.click()
    assert page.inner_text("#cell-title") == f"Cell {order[-1]}"
    wait_for_picture(page, lambda picture: picture != before)
    page.focus("#canvas")
    page.keyboard.press("Escape")
    moved = canvas.screenshot()
    page.keyboard.press("0")
    whole = wait_for_picture(page, lambda picture: picture != moved)
    page.keyboard.press("+")
    zoomed = wait_for_picture(page, lambda picture: picture != whole)
    page.keyboard.press("ArrowLeft")
    wait_for_picture(page, lambda picture: picture not in (zoomed, whole))
    page.keyboard.press("0")
    wait_for_picture(page, lambda picture: picture == whole)
    page.keyboard.press("2")  # green off
    assert not page.locator(".channel.green input[type=checkbox]").is_checked()


def wait_for_picture(page: object, holds: Callable[[bytes], bool]) -> bytes:
    return wait_until(page, page.locator("#canvas").screenshot, holds)


def wait_for_colour(
    page: object, place: tuple[float, float], holds: Callable[[list[int]], bool]
) -> None:
    wait_until(page, lambda: colour_at(page, *place).tolist(), holds)


def colour_at(page: object, x: float, y: float) -> np.ndarray:
    column, row = place_of(page, x, y)  # scrolls, so it comes first
    picture = Image.open(io.BytesIO(page.screenshot()))
    return np.array(picture)[int(row), int(column), :3].astype(int)


@pytest.mark.parametrize("renderer", ["webgl", "plain"])
def test_channels_and_contrast_change_the_picture(
    server: str, pages: object, renderer: str
) -> None:
    page = pages.open(f"{server}/?renderer={renderer}", viewport={"width": 1280, "height": 1100})
    planes = cell_planes(SHAPE_HW, cells=2)
    for plane in planes.values():
        plane[0, 0] = 255  # all channels have one range
    find_cells(page, files_of(planes))
    page.evaluate("document.activeElement.blur()")
    here = middle_of({"bbox": (50, 50, 100, 100)})
    page.click("#outlines")
    for channel in ("red", "yellow", "green"):
        page.click(f".channel.{channel} input[type=checkbox]")
    wait_for_colour(page, here, lambda rgb: rgb == [0, 0, 255])
    page.click(".channel.blue input[type=checkbox]")
    page.click(".channel.green input[type=checkbox]")
    wait_for_colour(page, here, lambda rgb: rgb[::2] == [0, 0] and 0 < rgb[1] < 250)
    white = page.locator(".channel.green input[type=range]").nth(1)
    white.evaluate("slider => { slider.value = 85; slider.dispatchEvent(new Event('input')); }")
    # the cell's green is 85
    wait_for_colour(page, here, lambda rgb: rgb[::2] == [0, 0] and rgb[1] >= 250)


def test_downloads_hold_what_the_api_says(
    server: str, pages: object, answer: dict, tmp_path: Path
) -> None:
    page = pages.open(server)
    find_cells(page, files_of(cell_planes(SHAPE_HW, cells=5)))
    page.locator("#legend button").first.click()
    shown = set(shown_cells(page))
    assert 0 < len(shown) < 5
    by_id = {cell["cell_id"]: cell for cell in answer["cells"]}
    saved = {}
    for name in ("table", "coco", "labels"):
        with page.expect_download() as download:
            page.click(f"[data-export={name}]")
        saved[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[name])
    assert saved["table"].name == "plate1_A01_cells.csv"
    rows = list(csv.DictReader(saved["table"].read_text().splitlines()))
    assert {int(row["cell_id"]) for row in rows} == shown
    for row in rows:
        cell = by_id[int(row["cell_id"])]
        assert row["image_id"] == "plate1_A01"
        assert float(row["p_cytosol"]) == pytest.approx(cell["scores"][16], abs=1e-6)
        assert row["called"] == "|".join(NAMES[k] for k in cell["called"])
    entries = json.loads(saved["coco"].read_text())
    assert {entry["cell_id"]: entry["segmentation"] for entry in entries} == {
        cell_id: by_id[cell_id]["segmentation"] for cell_id in shown
    }
    labels = tifffile.imread(saved["labels"])
    assert labels.shape == SHAPE_HW
    areas = dict(zip(*np.unique(labels[labels > 0], return_counts=True), strict=True))
    assert areas == {cell_id: by_id[cell_id]["area"] for cell_id in shown}
    with page.expect_download() as download:
        page.click("#save-png")
    picture = np.array(Image.open(download.value.path()))
    box = page.locator("#canvas").bounding_box()
    assert picture.shape[:2] == (round(box["height"]), round(box["width"]))
    assert picture[..., :3].max() == 255


def test_segmenter_can_take_the_models_place(server: str, pages: object) -> None:
    page = pages.open(server)
    page.wait_for_selector("body[data-ready]")
    page.click("#example")
    page.wait_for_selector("#result:not([hidden])")
    assert "synthetic image, drawn by a program" in page.inner_text("#notes")
    page.click("input[name=instances-again][value=segmenter]")
    wait_for_text(page, "#result-sub", "segmenter")
    assert set(page.locator("#table tbody td:nth-child(4)").all_inner_texts()) == {"1.00"}


def test_one_tiff_of_16_bits_is_shown(server: str, pages: object) -> None:
    planes = cell_planes(SHAPE_HW, cells=3, dtype=np.uint16)
    written = io.BytesIO()
    stack = np.stack([planes[name] // 16 for name in CHANNELS])  # a camera of 12 bits
    tifffile.imwrite(written, stack, metadata={"axes": "CYX"}, photometric="minisblack")
    page = pages.open(server)
    page.wait_for_selector("body[data-ready]")
    file = {"name": "well 7.tif", "mimeType": "image/tiff", "buffer": written.getvalue()}
    page.set_input_files("#files", [file])
    assert "All channels in one file: well 7.tif" in page.inner_text("#whole-file")
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    assert page.inner_text("#result-title") == "3 cells in well 7"
    assert "16-bit pixels were read with 4095 as full brightness" in page.inner_text("#notes")
    slider = page.locator(".channel.blue input[type=range]").nth(1)
    assert int(slider.get_attribute("max")) == 4095
    page.click("#outlines")
    middle = middle_of({"bbox": (33, 33, 66, 66)})
    wait_for_colour(page, middle, lambda rgb: rgb[2] == 255)


def test_errors_say_what_to_do_and_do_not_end_the_page(server: str, pages: object) -> None:
    pages.expected = ["422"]  # the browser logs each refused request
    page = pages.open(server)
    page.wait_for_selector("body[data-ready]")
    odd = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"a"}
    page.set_input_files("#files", [odd])
    assert "only PNG, TIFF and JPEG" in page.inner_text("#problem")
    two = files_of(cell_planes(SHAPE_HW))[:2]
    page.set_input_files("#files", [{**file, "name": f"w{n}.png"} for n, file in enumerate(two)])
    assert "do not say which channel they are" in page.inner_text("#problem")
    page.set_input_files("[data-channel=red]", [{**two[0], "name": "w1.png"}])
    assert page.inner_text("#go-hint") == "Still missing: green, blue."
    wrong = files_of({**cell_planes(SHAPE_HW), "blue": cell_planes((99, 120))["blue"]})
    page.set_input_files("#files", wrong)
    page.click("#go")
    page.wait_for_selector("#problem:not([hidden])")
    assert "The channels differ in size" in page.inner_text("#problem")
    assert "blue 120 x 99" in page.inner_text("#problem")
    page.set_input_files("#files", files_of(cell_planes((40, REFUSED_WIDTH))))
    page.click("#go")
    page.wait_for_selector("#problem:not([hidden])")
    assert "shows nothing" in page.inner_text("#problem")
    find_cells(page, files_of(cell_planes(SHAPE_HW)))
    page.click("#again")
    assert page.locator("#go").is_disabled()


def test_refused_image_is_not_asked_for_once_its_job_is_gone(server: str, pages: object) -> None:
    page = pages.open(server)
    page.wait_for_selector("body[data-ready]")
    held: list[object] = []
    page.route(re.compile("/pixels"), lambda route: held.append(route))
    # whatever the server's pace, the refusal comes while the picture is on its way
    page.route(re.compile("/events"), lambda route: _tell(route, REFUSED if held else PREDICTING))
    page.set_input_files("#files", files_of(cell_planes(SHAPE_HW)))
    with page.expect_response(lambda reply: reply.request.method == "DELETE"):
        page.click("#go")
    assert "shows nothing" in page.inner_text("#problem")
    (request,) = held
    request.continue_()
    page.wait_for_timeout(300)


def _tell(route: object, state: dict[str, object]) -> None:
    body = f"retry: 20\nevent: state\ndata: {json.dumps(state)}\n\n"
    route.fulfill(content_type="text/event-stream", body=body)


def test_waiting_can_be_cancelled(server: str, pages: object) -> None:
    pages.expected = ["ERR_FAILED"]
    page = pages.open(server)
    page.wait_for_selector("body[data-ready]")
    page.set_input_files("#files", files_of(cell_planes(SHAPE_HW)))
    page.route(re.compile("/pixels"), lambda route: route.abort())
    page.route(re.compile("/events"), lambda route: _tell(route, PREDICTING))  # for ever
    page.click("#go")
    page.click("#cancel")
    page.wait_for_selector("#progress", state="hidden")
    assert page.locator("#problem").is_hidden()
    assert page.locator("#go").is_enabled()


def test_phone_shows_everything_without_sideways_scrolling(server: str, pages: object) -> None:
    page = pages.open(server, viewport={"width": 390, "height": 844}, has_touch=True)
    width = "document.documentElement.scrollWidth"
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate(width) <= 390
    find_cells(page, files_of(cell_planes(SHAPE_HW, cells=4)))
    assert page.evaluate(width) <= 390
    cell = {"bbox": (25, 25, 50, 50)}
    page.touchscreen.tap(*place_of(page, *middle_of(cell)))
    wait_for_text(page, "#cell-title", "Cell 1")
