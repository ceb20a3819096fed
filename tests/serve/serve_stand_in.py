"""A stand-in for the model, and a server around it.

Cells are bright patches of blue. Some widths of an image are commands, so that tests can make
the model slow, refuse, or die. The stand-in is built in the model's process.
"""

import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.encode import encode_cells
from hpa_mmdet.predictions.cells import CellPrediction
from hpa_mmdet.serve.analysis import Analyser, ModelFacts
from hpa_mmdet.serve.app import create_app
from hpa_mmdet.serve.call_process import CallProcess
from hpa_mmdet.serve.helper import build_helper
from hpa_mmdet.serve.limits import ServerLimits
from hpa_mmdet.serve.queue import JobQueue
from hpa_mmdet.serve.run import listen, make_server
from hpa_mmdet.serve.security import Access

REFUSED_WIDTH, DEADLY_WIDTH, ENDLESS_WIDTH, SLOW_WIDTH = 61, 62, 63, 64
SLOW_S = 0.4
BRIGHT = 100
CHANNELS = ("red", "green", "blue", "yellow")
THRESHOLDS = tuple(0.3 + 0.02 * k for k in range(19))


class StandInFinder:
    """Names cells by their green pixels, so that answers follow from the image."""

    def __init__(self, channels: tuple[str, ...] = CHANNELS) -> None:
        self.channels = channels

    def __call__(
        self, image: np.ndarray, label_image: np.ndarray | None = None
    ) -> list[CellPrediction]:
        width = image.shape[1]
        if width == REFUSED_WIDTH:
            raise InputError("image", problem="shows nothing", remedy="take another one")
        if width == DEADLY_WIDTH:
            os._exit(3)
        if width == ENDLESS_WIDTH:
            time.sleep(600)
        if width == SLOW_WIDTH:
            time.sleep(SLOW_S)
        top = 255 if image.dtype == np.uint8 else 65535
        blue = image[..., self.channels.index("blue")]
        labels = label_image
        if labels is None:
            labels = ndimage.label(blue > top * BRIGHT / 255)[0]
        green = image[..., self.channels.index("green" if "green" in self.channels else "blue")]
        return [
            CellPrediction(
                shape_hw=image.shape[:2],
                bbox_xywh=cell.bbox_xywh,
                counts=cell.counts,
                area=cell.area,
                cell_score=1.0 if label_image is not None else 1 - 0.02 * number,
                localization_scores=_scores(float(green[labels == cell.cell_id].mean()) / top),
                cell_id=cell.cell_id if label_image is not None else None,
            )
            for number, cell in enumerate(encode_cells(labels))
        ]


def _scores(level: float) -> np.ndarray:
    """The class nearest to the level is the likeliest."""
    return np.exp(-(((np.linspace(0, 1, 19) - level) * 12) ** 2)).astype(np.float32)


def build_stand_in(channels: tuple[str, ...] = CHANNELS) -> Analyser:
    """Build in the model's process."""
    facts = ModelFacts("stand-in", channels, THRESHOLDS, checksum="ab" * 32, version="1")
    return Analyser(StandInFinder(channels), facts)


def cell_planes(
    shape_hw: tuple[int, int] = (90, 120), cells: int = 3, dtype: type = np.uint8
) -> dict[str, np.ndarray]:
    """Planes with `cells` bright squares in a row, each greener than the one before."""
    top = np.iinfo(dtype).max
    planes = {name: np.full(shape_hw, top // 20, dtype) for name in CHANNELS}
    side = min(shape_hw[0], shape_hw[1] // max(cells, 1)) // 2
    for number in range(cells):
        left = number * (shape_hw[1] // cells) + side // 2
        here = (slice(side // 2, side // 2 + side), slice(left, left + side))
        planes["blue"][here] = top
        planes["green"][here] = int(top * (number + 1) / (cells + 1))
        planes["red"][here] = planes["yellow"][here] = top // 2
    return planes


def png(plane: np.ndarray) -> bytes:
    """Encode a plane."""
    written = io.BytesIO()
    Image.fromarray(plane).save(written, "png")
    return written.getvalue()


def upload(planes: dict[str, np.ndarray]) -> dict[str, tuple[str, bytes]]:
    """What `requests` sends as files."""
    return {name: (f"{name}.png", png(plane)) for name, plane in planes.items()}


@contextmanager
def running_server(
    limits: ServerLimits | None = None,
    channels: tuple[str, ...] = CHANNELS,
    token: str | None = None,
    review: object = None,
    model: bool = True,
) -> Iterator[str]:
    """Serve the stand-in on a free port; gives the address."""
    limits = limits or ServerLimits()
    queue = None
    if model:
        analyser = CallProcess(partial(build_stand_in, channels), "model")
        helper = CallProcess(build_helper, "helper", limits.decode_bytes)
        facts = analyser.start()
        helper.start()
        queue = JobQueue(analyser, helper, facts, limits)
    access = None if token is None else Access(token)
    app = create_app(queue, review, access=access, any_host=token is not None, limits=limits)
    opened = listen("127.0.0.1", 0)
    server = make_server(app, limits.idle_s)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        address = f"http://127.0.0.1:{opened.getsockname()[1]}"
        yield address if access is None else address + access.new_link()
    finally:
        server.should_exit = True
        thread.join(20)
        if queue is not None:
            queue.shut_down()
        opened.close()


def leftovers() -> list[Path]:
    """Folders of uploads that were not removed."""
    import tempfile

    return list(Path(tempfile.gettempdir()).glob("hpa-mmdet-upload-*"))
