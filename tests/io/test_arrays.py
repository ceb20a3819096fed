"""Arrays of numpy: versions, types and shapes that are read, and those that are refused."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io import arrays
from hpa_mmdet.io.pictures import read_header, read_picture

PICTURE = np.arange(23 * 40, dtype=np.uint16).reshape(23, 40)


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def npz(path: Path, members: list[bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for place, member in enumerate(members):
            archive.writestr(f"arr_{place}.npy", member)
    return path


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)], ids=str)
def test_versions_of_plain_names_are_read(tmp_path: Path, version: tuple[int, int]) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(npy(PICTURE, version))
    if version == (3, 0):
        with pytest.raises(InputError, match=r"version \(3, 0\) of the format, not 1.0 or 2.0"):
            read_picture(path)
    else:
        assert (read_picture(path) == PICTURE).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        pytest.param(np.zeros((3, 4), np.longdouble), "float128, not of numbers", id="128 bits"),
        pytest.param(np.zeros((0, 4), np.uint8), "0x4 values, not a picture", id="no rows"),
        pytest.param(np.zeros((3, 4, 0), np.uint8), "3x4x0 values, not a picture", id="no bands"),
        pytest.param(np.zeros((3, 4, 17), np.uint8), "last axis is not that of the", id="columns"),
        pytest.param(np.zeros(4, np.uint8), "an array of 1 axes, not 2", id="a row"),
        pytest.param(np.zeros((1, 1, 3, 4), np.uint8), "an array of 4 axes", id="four axes"),
        pytest.param(np.array([[None]]), "pickled objects", id="objects"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(npy(array))
    with pytest.raises(InputError, match=message):
        read_header(path)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4, 16), (3, 4, 1), (2, 1)], ids=str)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_plain_numbers_of_two_axes_and_some_bands_are_read(
    tmp_path: Path, shape: tuple[int, ...], dtype: type
) -> None:
    array = np.ones(shape, dtype)
    path = tmp_path / "a.npy"
    path.write_bytes(npy(array))
    header = read_header(path)
    assert (header.shape, header.axes) == (shape, "YXS"[: len(shape)])
    assert header.bits == 8 * array.itemsize
    read = read_picture(path)
    assert (read.dtype, read.shape) == (array.dtype, shape)
    assert (read == array).all()


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=str)
@pytest.mark.parametrize("block", [8, 100, 2**20])
def test_an_archive_is_read_block_by_block(
    tmp_path: Path, how: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_BLOCK_BYTES", block)
    assert (read_picture(npz(tmp_path / "a.npz", [npy(PICTURE)], how)) == PICTURE).all()
    for content, found in ((npy(PICTURE)[:-1], 1839), (npy(PICTURE) + b"x", 1841)):
        with pytest.raises(InputError, match=f"{found} bytes or more, 1840 announced"):
            read_picture(npz(tmp_path / "b.npz", [content], how))


def test_an_archive_of_another_compression_or_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a compression that numpy does not write"):
        read_header(npz(tmp_path / "a.npz", [npy(PICTURE)], zipfile.ZIP_BZIP2))
    with pytest.raises(
        InputError, match=r"5 arrays \(arr_0.npy, arr_1.npy, arr_2.npy, arr_3.npy\), not 1"
    ):
        read_header(npz(tmp_path / "d.npz", [npy(PICTURE)] * 5))


def test_an_array_of_another_length_than_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for content, found in ((npy(PICTURE)[:-1], 1839), (npy(PICTURE) + b"x", 1841)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{found} bytes of pixels, 1840 announced"):
            read_picture(path)
