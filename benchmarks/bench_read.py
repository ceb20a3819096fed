"""How fast PNG is decoded, against the other decoders that PyPI has.

    python benchmarks/bench_read.py [FOLDER]    # PNG files; drawn pictures without one

Processor time of this process, the least of several repeats by turns. Decoders that are not
installed are left out (`pip install pyspng pywuffs` for two more).
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from PIL import Image

from hpa_mmdet.io.pictures import read_picture

SIDE = 2048
REPEATS = 7


def drawn(folder: Path) -> list[Path]:
    """Draw smooth pictures with noise, about as compressible as stains are."""
    paths = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        blurred = cv2.GaussianBlur(rng.random((SIDE, SIDE), np.float32), (0, 0), 9)
        spread = (blurred - blurred.min()) / np.ptp(blurred) * 0.4 + rng.random((SIDE, SIDE)) * 0.01
        paths.append(folder / f"{seed}.png")
        Image.fromarray((spread * 255).astype(np.uint8)).save(paths[-1])
    return paths


def decoders() -> dict[str, Callable[[Path], Any]]:
    """Ours and others, all from the file's path."""
    found: dict[str, Callable[[Path], Any]] = {
        "read_picture": read_picture,
        "imagecodecs (libpng)": lambda path: imagecodecs.png_decode(path.read_bytes()),
        "imagecodecs (libspng)": lambda path: imagecodecs.spng_decode(path.read_bytes()),
        "OpenCV": lambda path: cv2.imdecode(
            np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED
        ),
        "Pillow": lambda path: np.array(Image.open(io.BytesIO(path.read_bytes()))),
    }
    try:
        import pyspng

        found["pyspng"] = lambda path: pyspng.load(path.read_bytes())
    except ImportError:
        sys.stdout.write("pyspng is not installed\n")
    try:
        from pywuffs import PixelFormat, aux

        config = aux.ImageDecoderConfig()
        config.pixel_format = PixelFormat.Y
        found["pywuffs"] = lambda path: aux.ImageDecoder(config).decode(path.read_bytes()).pixbuf
    except ImportError:
        sys.stdout.write("pywuffs is not installed\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as made:
        paths = sorted(folder.glob("*.png"))[:8] if folder else drawn(Path(made))
        calls = decoders()
        total: dict[str, float] = dict.fromkeys(calls, 0.0)
        for path in paths:
            least = dict.fromkeys(total, float("inf"))
            for _ in range(REPEATS):
                for name, decode in calls.items():
                    begun = time.process_time()
                    decode(path)
                    least[name] = min(least[name], time.process_time() - begun)
            total = {name: total[name] + least[name] for name in total}
    ours = total["read_picture"]
    for name, seconds in sorted(total.items(), key=lambda item: item[1]):
        sys.stdout.write(
            f"{name:24} {1000 * seconds / len(paths):6.1f} ms a picture, {seconds / ours:4.2f}\n"
        )


if __name__ == "__main__":
    main()
