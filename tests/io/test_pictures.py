"""Pictures: whatever is wrong with a file is said with its name, before it costs memory."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.header import Header
from hpa_mmdet.io.pictures import (
    check_complete,
    check_intensities,
    read_header,
    read_palette,
    read_picture,
)

GREY = (np.arange(23 * 40).reshape(23, 40) % 251).astype(np.uint8)  # never square


def png_bytes(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def handmade_png(width: int, height: int, rows: bytes, interlaced: bool = False) -> bytes:
    """An 8-bit grey PNG whose header and data need not agree."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("name", "picture"),
    [
        pytest.param("a.png", GREY, id="8-bit PNG"),
        pytest.param("a.png", GREY.astype(np.uint16) * 200, id="16-bit PNG"),
        pytest.param("a.png", np.dstack([GREY, GREY // 2, GREY // 3]), id="RGB PNG"),
        pytest.param("a.png", np.dstack([GREY, GREY, GREY, GREY]), id="RGBA PNG"),
        pytest.param("a.tif", GREY.astype(np.uint32) * 70_000, id="32-bit TIFF"),
        pytest.param("a.tif", GREY.astype(np.float32), id="float TIFF"),
        pytest.param("a.ome.tif", np.stack([GREY, GREY // 2, GREY // 3, GREY]), id="OME-TIFF"),
        pytest.param("a.npy", GREY.astype(np.int64), id="npy"),
        pytest.param("a.npz", GREY.astype(np.int32), id="npz"),
    ],
)
def test_pixels_come_as_they_were_stored(tmp_path: Path, name: str, picture: np.ndarray) -> None:
    path = tmp_path / name
    if name.endswith(".png"):
        Image.fromarray(picture).save(path)
    elif name.endswith(".npy"):
        np.save(path, picture)
    elif name.endswith(".npz"):
        np.savez_compressed(path, picture)
    else:
        axes = {"metadata": {"axes": "CYX"}} if picture.ndim == 3 else {}
        tifffile.imwrite(path, picture, **axes)
    read = read_picture(path)
    assert read.dtype == picture.dtype
    assert (read == picture).all()
    header = read_header(path)
    assert header.size_wh == (40, 23)
    assert header.bits == picture.dtype.itemsize * 8
    check_complete(path, header)


def test_16_bit_colour_keeps_its_depth_and_order(tmp_path: Path) -> None:
    rgb = np.dstack([GREY, GREY // 2, GREY // 3]).astype(np.uint16) * 200
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    assert (read_picture(tmp_path / "a.png") == rgb).all()


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "jpeg2000"])
def test_the_compressions_of_microscopes_are_read(tmp_path: Path, compression: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, compression=compression)
    assert (read_picture(tmp_path / "a.tif") == GREY).all()


def test_an_interlaced_png_is_read(tmp_path: Path) -> None:
    picture = np.arange(15, dtype=np.uint8).reshape(3, 5) * 9
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b""
    for y, x, step_y, step_x in [*passes, (1, 0, 2, 1)]:  # Adam7
        part = picture[y::step_y, x::step_x]
        rows += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""
    (tmp_path / "a.png").write_bytes(handmade_png(5, 3, rows, interlaced=True))
    assert (read_picture(tmp_path / "a.png") == picture).all()


def test_the_kind_is_told_by_the_content(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.tif", "PNG")
    assert (read_picture(tmp_path / "a.tif") == GREY).all()


def test_few_bits_count_from_zero(tmp_path: Path) -> None:
    Image.fromarray(GREY > 100).save(tmp_path / "a.png", bits=1)
    assert (read_picture(tmp_path / "a.png") == (GREY > 100)).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("a.png", b"", "a.png: found an empty file", id="zero bytes"),
        pytest.param("a.png", png_bytes(GREY)[:-40], "a.png: found an unreadable", id="cut PNG"),
        pytest.param("a.png", png_bytes(GREY)[:20], "a.png: found an unreadable", id="cut header"),
        pytest.param("a.png", b"hello, world" * 9, "an unknown kind of file", id="text"),
        pytest.param("a.tif", b"II*\0\x08\0\0\0", "a.tif: found an unreadable", id="cut TIFF"),
        pytest.param(
            "a.tif",
            b"II*\0\xff\xff\xff\xff",
            r"unreadable picture \(truncated, or a place outside the file",
            id="no pages",
        ),
        pytest.param("a.npz", b"PK\x03\x04zzz", "a.npz: found an unreadable", id="broken npz"),
        pytest.param("a.npy", b"\x93NUMPY", "a.npy: found an unreadable", id="cut npy"),
        pytest.param("a.jpg", b"\xff\xd8\xff\xe0", "a.jpg: found an unreadable", id="cut JPEG"),
        pytest.param(
            "a.png",
            handmade_png(50_000, 40_000, bytes(9)),
            "40000x50000 values in its header",
            id="bomb",
        ),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_picture(path)


def test_the_limit_of_size_is_the_callers(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="at most 919 pixels; raise --max-pixels"):
        read_picture(tmp_path / "a.png", max_pixels=919)
    assert read_picture(tmp_path / "a.png", max_pixels=920).shape == (23, 40)


def test_a_large_picture_within_the_limit_raises_no_warning(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(handmade_png(12_000, 16_000, bytes(9)))  # Pillow warns at 89 M
    with pytest.raises(InputError, match=r"found an unreadable picture"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        pytest.param(np.array([{"masks": 1}]), "pickled objects", id="pickle"),
        pytest.param(np.zeros((2, 3, 4, 5)), "an array of 4 axes", id="4-D"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        read_picture(tmp_path / "a.npy")


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(GREY % 3)
    picture.putpalette([1, 2, 3, 4, 5, 6, 7, 8, 9])
    picture.save(tmp_path / "a.png")
    colours = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert (read_picture(tmp_path / "a.png") == colours[GREY % 3]).all()
    picture.save(tmp_path / "b.png", transparency=0)
    assert read_picture(tmp_path / "b.png").shape == (23, 40, 4)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-50])
    with pytest.raises(InputError, match=r"a.png: found an unreadable picture"):
        read_palette(tmp_path / "a.png")


def test_a_picture_that_does_not_fit_the_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    np.save(tmp_path / "a.npy", GREY)
    monkeypatch.setattr(np, "fromfile", no_memory)
    with pytest.raises(InputError, match=r"found \(23, 40\) values, expected a picture that fits"):
        read_picture(tmp_path / "a.npy")


def test_an_archive_of_several_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", cells=GREY, nuclei=GREY)
    with pytest.raises(InputError, match=r"2 arrays \(cells.npy, nuclei.npy\), not 1"):
        read_picture(tmp_path / "a.npz")


def test_files_that_cannot_be_opened_are_named(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=r"a.png: found no file"):
        read_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match="found a folder, expected a picture"):
        read_picture(tmp_path)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    with pytest.raises(InputError, match=r"loop.png: found Too many levels of symbolic links"):
        read_picture(tmp_path / "loop.png")

    def refuse(self: Path, *_: object) -> None:  # root may read everything, so chmod proves nothing
        raise PermissionError(13, "Permission denied", str(self))

    (tmp_path / "b.png").write_bytes(png_bytes(GREY))
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"found a file that may not be read.*chmod"):
        read_picture(tmp_path / "b.png")


def test_a_jpeg_says_its_bands(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    Image.fromarray(np.dstack([GREY] * 3)).save(tmp_path / "b.jpg")
    assert read_header(tmp_path / "a.jpg") == Header("jpeg", (23, 40), "YX", 8)
    assert read_header(tmp_path / "b.jpg") == Header("jpeg", (23, 40, 3), "YXS", 8)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_cut_file_is_seen_without_decoding(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    noise = np.random.default_rng(0).integers(0, 255, (200, 120), np.uint8)
    Image.fromarray(noise).save(path)
    check_complete(path, read_header(path))
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="found a truncated picture"):
        check_complete(path, header)


def test_a_cut_tiff_is_seen_in_its_header(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((200, 120), np.uint8))
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"a.tif: found an unreadable picture \(truncated"):
        read_header(tmp_path / "a.tif")


@pytest.mark.parametrize(("bits", "refused"), [(16, False), (17, True), (32, True)])
def test_intensities_have_16_bits_at_the_most(tmp_path: Path, bits: int, refused: bool) -> None:
    header = Header("tiff", (3, 5), "YX", bits)
    if not refused:
        check_intensities(tmp_path / "a.tif", header)
        return
    with pytest.raises(InputError, match=f"found uint{bits} pixels, expected 8 or 16 bit"):
        check_intensities(tmp_path / "a.tif", header)
