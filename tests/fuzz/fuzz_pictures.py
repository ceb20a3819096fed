"""Damaged PNG, TIFF, JPEG, .npy and .npz files."""

import io
import struct
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tifffile
from mutate import run
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles, check_channels, read_channels
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.large_images import TiffParts, segment_cache
from hpa_mmdet.io.pictures import read_picture, unreadable

GREY = (np.arange(23 * 40).reshape(23, 40) % 251).astype(np.uint8)


def samples() -> dict[str, bytes]:
    """Small sound files of every kind."""
    made: dict[str, bytes] = {}

    def pillow(name: str, picture: Image.Image, **options: object) -> None:
        stream = io.BytesIO()
        picture.save(stream, name.split(".")[-1].replace("jpg", "jpeg"), **options)
        made[name] = stream.getvalue()

    def tiff(name: str, pixels: np.ndarray, **options: object) -> None:
        stream = io.BytesIO()
        tifffile.imwrite(stream, pixels, **options)
        made[name] = stream.getvalue()

    pillow("grey.png", Image.fromarray(GREY))
    pillow("deep.png", Image.fromarray(GREY.astype(np.uint16) * 200))
    pillow("rgba.png", Image.fromarray(np.dstack([GREY] * 4)))
    palette = Image.fromarray(GREY % 7)
    palette.putpalette([0, 0, 0, *range(60)])
    pillow("palette.png", palette)
    pillow("bits.png", Image.fromarray(GREY > 9), bits=1)
    pillow("grey.jpg", Image.fromarray(GREY))
    pillow("colour.jpg", Image.fromarray(np.dstack([GREY] * 3)), progressive=True)
    stack = np.stack([GREY, GREY // 2, GREY // 3])
    tiff("plain.tif", GREY)
    tiff("stack.tif", stack, photometric="minisblack")
    tiff("big.tif", stack, bigtiff=True, byteorder=">", photometric="minisblack")
    tiff("imagej.tif", stack, imagej=True, metadata={"axes": "CYX"})
    tiff("planes.ome.tif", stack, ome=True, photometric="minisblack", metadata={"axes": "CYX"})
    tiff("tiles.tif", GREY.repeat(4, 0), tile=(32, 32), compression="zlib", predictor=True)
    for name in ("lzw", "packbits", "jpeg", "jpeg2000", "zstd", "lzma"):
        tiff(f"{name}.tif", GREY, compression=name, rowsperstrip=8)
    for name, save in (("a.npy", np.save), ("a.npz", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, GREY)
        made[name] = stream.getvalue()
    return made


def repair(name: str, content: bytes) -> bytes:
    """Make the checksums of a PNG or an archive right."""
    if name.endswith(".npz"):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("arr_0.npy", content)
        return stream.getvalue()
    if not name.endswith(".png"):
        return content
    fixed, at = content[:8], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        body = content[at + 4 : at + 8 + length]
        fixed += content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return fixed + content[at:]


def read(name: str, content: bytes) -> None:
    """Read a file in each way that tools do."""
    path = FOLDER / f"a{Path(name).suffix}"
    path.write_bytes(content)
    files = ImageFiles("a", {"red": path})
    errors = []
    for attempt in (
        lambda: check_channels(files, ["red"]),
        lambda: read_channels(files, ["red"]),
        lambda: read_label_image(path),
        lambda: read_picture(path),
    ):
        try:
            attempt()
        except InputError as error:
            errors.append(error)
    if path.suffix == ".tif":
        try:
            parts = TiffParts(path, segment_cache(10**6))
            parts.read(None, slice(0, 9), slice(3, 20))
            parts.close()
        except Exception as error:  # as LargeImage turns what it raises into an InputError
            errors.append(unreadable(path, error))
    if len(errors) == 5:
        raise errors[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        before = sys.getrefcount(None)
        run(samples(), read, repair)
        assert sys.getrefcount(None) > before - 2_000, "a decoder drops references to None"
