"""Pictures of the web page for README and docs, from synthetic images.

Run after `make demo`, whose model and predictions are shown:

    make screenshots

or, with another model and other predictions,

    HPA_MMDET_BROWSER=/usr/bin/chromium python benchmarks/screenshots.py --out docs/images \
        --model CONFIG CHECKPOINT --review PREDICTIONS --images DIR --image-labels CSV
"""

import argparse
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from served import BROWSER_ARGUMENTS, running_server

DEMO = Path("work_dirs/demo")
CONFIG = Path("configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py")
DESK = {"width": 1360, "height": 880}
PHONE = {"width": 390, "height": 844}


class Camera:
    """Opens the page in some look and saves what is seen."""

    def __init__(self, browser: Any, address: str, out: Path) -> None:
        self._browser, self._address, self._out = browser, address, out

    def open(self, path: str, theme: str, size: dict[str, int]) -> Any:
        """Open a page and wait until it is ready."""
        context = self._browser.new_context(viewport=size, color_scheme=theme)
        page = context.new_page()
        page.goto(self._address + path)
        page.wait_for_selector("body[data-ready]")
        return page

    def save(self, page: Any, name: str) -> None:
        """Save the picture, as JPEG, and close the page."""
        page.wait_for_timeout(600)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.save(self._out / f"serve_{name}.jpg", quality=86, optimize=True)
        page.context.close()
        print(self._out / f"serve_{name}.jpg")


def take(camera: Camera) -> None:
    """Take all pictures."""
    camera.save(camera.open("/", "light", DESK), "start")
    for theme, size, name in (
        ("light", DESK, "result_light"),
        ("dark", DESK, "result_dark"),
        ("light", PHONE, "result_phone"),
    ):
        page = camera.open("/", theme, size)
        page.click("#example")
        page.wait_for_selector("#result:not([hidden])", timeout=120_000)
        page.locator("#table tbody tr").first.click()
        page.evaluate("scrollTo(0, 0)")
        page.click("#zoom-fit")
        camera.save(page, name)
    page = camera.open("/", "light", DESK)
    page.set_input_files("#files", [{"name": "a_red.png", "mimeType": "image/png", "buffer": b"a"},
                                    {"name": "a_green.png", "mimeType": "image/png", "buffer": b"a"},
                                    {"name": "a_blue.png", "mimeType": "image/png", "buffer": b"a"},
                                    ])  # fmt: skip
    page.click("#go")
    page.wait_for_selector("#problem:not([hidden])")
    camera.save(page, "error")
    page = camera.open("/review", "light", {"width": 1360, "height": 1010})
    page.fill("#name", "Anna")
    page.keyboard.press("Enter")
    for _ in range(6):
        page.wait_for_selector("#choices button")
        caption = page.inner_text("#caption")
        page.keyboard.press("Enter")
        while page.inner_text("#caption") == caption:
            page.wait_for_timeout(50)
    camera.save(page, "review")


def main() -> None:
    """Start a server, open the browser, take the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True)
    add("--model", nargs=2, type=Path, default=[CONFIG, DEMO / "train" / "fitted.pth"])
    add("--review", type=Path, default=DEMO / "prediction")
    add("--images", type=Path, default=DEMO / "data" / "test")
    add("--image-labels", type=Path, default=DEMO / "data" / "truth" / "test" / "images.csv")
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        words = ["--model", *args.model, "--review", args.review]
        words += ["--images", args.images, "--image-labels", args.image_labels]
        words += ["--labels", Path(folder) / "cells.csv"]
        with running_server(words) as (address, _), sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("HPA_MMDET_BROWSER"), args=BROWSER_ARGUMENTS
            )
            args.out.mkdir(parents=True, exist_ok=True)
            take(Camera(browser, address, args.out))
            browser.close()


if __name__ == "__main__":
    main()
