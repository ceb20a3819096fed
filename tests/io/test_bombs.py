"""Files that announce or unpack to far more than they hold cost no memory."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.pictures import read_header, read_picture

MIB = 2**20


def npy(dtype: str, shape: tuple[int, ...], content: bytes = b"") -> bytes:
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + content


def npz(*members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, member in enumerate(members):
            archive.writestr(f"arr_{place}.npy", member)
    return stream.getvalue()


def png(width: int, height: int, rows: bytes, between: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + between
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


SECOND = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 120_000, 8, 0, 0, 0, 0))
JPEG = io.BytesIO()
Image.fromarray(np.zeros((23, 40), np.uint8)).save(JPEG, "JPEG")
BOMBS = {
    "two headers.png": (png(40, 23, bytes(23 * 41), SECOND), "a second IHDR chunk"),
    "rows that are not there.png": (png(20_000, 23_000, bytes(41)), "truncated: 460000000 bytes"),
    "unknown.png": (png(40, 23, bytes(23 * 41), chunk(b"ABCD", b"")), "an unknown chunk"),
    "2 GB.npz": (npz(npy("<u4", (16_384, 32_000))), "announced"),
    "items of 2 GB.npz": (npz(npy("|V2000000000", (1, 1))), "not of numbers"),
    "items of text.npz": (npz(npy("<U100000000", (1, 1))), "not of numbers"),
    "longer than it says.npz": (npz(npy("|u1", (4, 5), bytes(200 * MIB))), "20 announced"),
    "2 GB.npy": (npy("<u4", (16_384, 32_000)), "0 bytes of pixels, 2097152000 announced"),
    "many scans.jpg": (JPEG.getvalue() + b"\xff\xda" * 101, "more than 100 scans"),
    "wide.npy": (npy("<f8", (23_000, 23_000)), "at most 2147483648 bytes; raise --max-pixels"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_no_memory(tmp_path: Path, name: str) -> None:
    content, message = BOMBS[name]
    path = tmp_path / name
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_picture(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * MIB


def test_the_rows_of_an_array_come_before_its_columns(tmp_path: Path) -> None:
    for name, shape in (("first.npy", (4, 96, 128)), ("last.npy", (96, 128, 4))):
        np.save(tmp_path / name, np.zeros(shape, np.uint8))
    assert read_header(tmp_path / "last.npy").size_wh == (128, 96)
    with pytest.raises(InputError, match="the last axis is not that of the channels; save it as"):
        read_header(tmp_path / "first.npy")


def test_arrays_by_columns_and_of_other_byte_orders_come_as_they_are(tmp_path: Path) -> None:
    picture = np.arange(23 * 40).reshape(23, 40)
    for name, stored in (("f", np.asfortranarray(picture)), ("b", picture.astype(">u4"))):
        np.save(tmp_path / f"{name}.npy", stored)
        np.savez_compressed(tmp_path / f"{name}.npz", stored)
        for ending in ("npy", "npz"):
            read = read_picture(tmp_path / f"{name}.{ending}")
            assert read.dtype.isnative
            assert (read == picture).all()
