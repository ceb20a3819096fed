"""Arrays of numpy (.npy, .npz): read without pickle, no more than their header announces."""

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.io.header import Header, check_ratio

_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_CHANNELS = 16  # more than that are columns
_MOST_INFLATED = 1032  # deflate gives at most so many bytes for one
_BLOCK_BYTES = 16_777_216


def npy_header(handle: IO[bytes]) -> Header:
    """Read shape and type of an array.

    Raises:
        ValueError: the array cannot be a picture.
    """
    return _parse(handle)[0]


def npz_header(handle: IO[bytes]) -> Header:
    """Read shape and type of the only array of an archive.

    Raises:
        ValueError: as `npy_header`, or there are several arrays.
    """
    with zipfile.ZipFile(handle) as archive, archive.open(_only_member(archive)) as member:
        return npy_header(member)._replace(kind="npz")


def read_npy(path: Path) -> NDArray[np.generic]:
    """Read an array.

    Raises:
        ValueError: the file does not hold what its header announces.
    """
    with path.open("rb") as handle:
        header, dtype, by_columns = _parse(handle)
        stored = path.stat().st_size - handle.tell()
        if stored != header.decoded_bytes:
            raise ValueError(f"{stored} bytes of pixels, {header.decoded_bytes} announced")
        return _shaped(np.fromfile(handle, dtype), header, by_columns)


def read_npz(path: Path) -> NDArray[np.generic]:
    """Read the only array of an archive, block by block.

    Raises:
        ValueError: the file does not hold what its header announces.
    """
    with zipfile.ZipFile(path) as archive:
        entry = _only_member(archive)
        with archive.open(entry) as member:
            header, dtype, by_columns = _parse(member)
            check_ratio(header, entry.compress_size, _MOST_INFLATED)
            content = bytearray()
            while block := member.read(_BLOCK_BYTES):
                content += block
                if len(content) > header.decoded_bytes:
                    break
        if len(content) != header.decoded_bytes:
            raise ValueError(f"{len(content)} bytes or more, {header.decoded_bytes} announced")
        return _shaped(np.frombuffer(content, dtype), header, by_columns)


def _parse(handle: IO[bytes]) -> tuple[Header, np.dtype[Any], bool]:
    version = np.lib.format.read_magic(handle)
    if version not in _READERS:
        raise ValueError(f"version {version} of the format, not 1.0 or 2.0")
    shape, by_columns, dtype = _READERS[version](handle)
    if dtype.hasobject:
        raise ValueError("pickled objects; save a plain array")
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ValueError(f"an array of {dtype}, not of numbers"[:80])
    if len(shape) not in (2, 3):
        raise ValueError(f"an array of {len(shape)} axes, not 2")
    if len(shape) == 3 and shape[2] > _CHANNELS:
        raise ValueError(
            f"an array of {'x'.join(map(str, shape))} values, of which the last axis is not that "
            "of the channels; save it as rows, columns, channels"
        )
    axes = "YXS"[: len(shape)]
    if min(shape) < 1:
        raise ValueError(f"an array of {'x'.join(map(str, shape))} values, not a picture")
    return Header("npy", shape, axes, dtype.itemsize * 8, dtype.kind), dtype, by_columns


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    entries = archive.infolist()
    if len(entries) != 1:
        names = ", ".join(entry.filename for entry in entries[:4])
        raise ValueError(f"{len(entries)} arrays ({names}), not 1")
    if entries[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("a compression that numpy does not write")
    return entries[0]


def _shaped(values: NDArray[np.generic], header: Header, by_columns: bool) -> NDArray[np.generic]:
    shaped = values.reshape(header.shape, order="F" if by_columns else "C")
    return np.ascontiguousarray(shaped, shaped.dtype.newbyteorder("="))
