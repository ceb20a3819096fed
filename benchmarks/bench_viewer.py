"""Frames a second of the page's picture: panning, zooming, contrast.

Run after `make demo`, or with any model:

    HPA_MMDET_BROWSER=/usr/bin/chromium python benchmarks/bench_viewer.py CONFIG CHECKPOINT

It uploads a synthetic image of --side pixels to a server of its own, opens the result in
Chromium, and moves the picture in every frame. Printed for each kind of movement: the median and
the 95th percentile of the time from one frame to the next, and the median time that the page's
own script took of it. Without a graphics card the processor draws (SwiftShader), which is the
slowest that a user can meet; the script's time is the same everywhere.
"""

import argparse
import os
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench_serve import encoded, picture
from served import BROWSER_ARGUMENTS, running_server

from hpa_mmdet.io.channels import CHANNELS

MOVEMENTS = {
    "pan": 'canvas.dispatchEvent(new KeyboardEvent("keydown",'
    ' {key: ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"][Math.floor(frame / 8) % 4]}))',
    "zoom": 'canvas.dispatchEvent(new WheelEvent("wheel",'
    " {deltaY: frame % 60 < 30 ? -40 : 40, clientX: 500, clientY: 400, cancelable: true}))",
    "contrast": "slider.value = Number(slider.min) + frame % 50;"
    ' slider.dispatchEvent(new Event("input", {bubbles: true}))',
}
WATCH = """async (frames) => {
  const canvas = document.getElementById("canvas");
  const slider = document.querySelector("#channels input[type=range]");
  const ask = window.requestAnimationFrame.bind(window);
  const between = [], script = [];
  let spent = 0;
  window.requestAnimationFrame = (draw) => ask((now) => {
    const start = performance.now();
    draw(now);
    spent += performance.now() - start;
  });
  await new Promise((done) => {
    let last = null, frame = 0;
    const step = (now) => {
      if (last !== null) { between.push(now - last); script.push(spent); }
      last = now;
      spent = 0;
      const start = performance.now();
      MOVEMENT;
      spent += performance.now() - start;
      if (++frame < frames) ask(step); else done();
    };
    ask(step);
  });
  window.requestAnimationFrame = ask;
  return [between.slice(10), script.slice(10)];
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("config", type=Path)
    add("checkpoint", type=Path)
    add("--side", type=int, default=2048)
    add("--frames", type=int, default=100)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    files = encoded(picture(args.side, CHANNELS, 1), CHANNELS)
    uploads: list[Any] = [
        {"name": f"a_{name}.png", "mimeType": "image/png", "buffer": content}
        for name, content in files.items()
    ]
    with (
        running_server(["--model", args.config, args.checkpoint]) as (address, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("HPA_MMDET_BROWSER"), args=BROWSER_ARGUMENTS
        )
        page = browser.new_page(viewport={"width": 1360, "height": 880})
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        page.set_input_files("#files", uploads)
        page.click("#go")
        page.wait_for_selector("#result:not([hidden])", timeout=600_000)
        print(f"{args.side} x {args.side}, {page.inner_text('#result-title')}")
        for name, movement in MOVEMENTS.items():
            between, script = page.evaluate(WATCH.replace("MOVEMENT", movement), args.frames)
            print(
                f"{name}: {median(between):.1f} ms from frame to frame "
                f"({1000 / median(between):.0f} frames a second), 95th percentile "
                f"{quantiles(between, n=20)[-1]:.1f} ms; script {median(script):.2f} ms"
            )
        browser.close()


if __name__ == "__main__":
    main()
