"""Decoded images in memory-mapped files, so that each is decoded and resized once.

An image of the cache is one .npy file, which numpy opens as it is, with a seal behind the
array: the size and time of the source files it was made of. Its name follows from the
sources' paths and the options, so a changed source replaces its image and never adds to
it. A file gets its name when it is whole, so several processes may fill one cache, and one
that is killed leaves nothing that could be read.

H, W: size of the working image in pixels; C: channels.
"""

import hashlib
import json
import math
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpa_mmdet.datasets.working_image import WorkingImage
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.io.naming import split_plane

_FORMAT = 1  # raised where the same sources and options give other pixels
_SEAL = struct.Struct("<24sII")  # digest of the sources, height and width as they are stored
_LEFT_S = 3600.0  # a temporary file of this age belongs to no living writer


class CacheWriteError(InputError):
    """The cache cannot be written to; its images can still be read from their sources."""


class CacheSize(NamedTuple):
    """How much a cache holds."""

    images: int
    size_bytes: int

    def __str__(self) -> str:
        return f"{self.images} images, {self.size_bytes / 1e6:,.1f} MB"


class ImageCache:
    """The cache of one set of options; several may share a folder.

    Args:
        folder: where the files are; made when the first image is written.
        channels: in the order of the planes.
        scale: pixels of the working image for each of the source.
    """

    def __init__(self, folder: Path, channels: Sequence[str], scale: float = 1.0) -> None:
        self.folder, self.channels, self.scale = Path(folder), tuple(channels), float(scale)

    def read(self, files: ImageFiles) -> WorkingImage | None:
        """Map an image; None where it is missing, stale or not whole, or a source is missing.

        The pixels may be written to: what is written stays in this process.
        """
        try:
            path, digest = self._locate(files)
            with path.open("rb") as handle:
                np.lib.format.read_magic(handle)
                shape, _, _ = np.lib.format.read_array_header_1_0(handle)
                start = handle.tell()
                end = start + math.prod(shape)
                if os.fstat(handle.fileno()).st_size != end + _SEAL.size:
                    return None
                handle.seek(end)
                sealed, height, width = _SEAL.unpack(handle.read(_SEAL.size))
                if sealed != digest:
                    return None
                pixels = np.memmap(handle, np.uint8, "c", start, shape)
        except (OSError, KeyError, ValueError, struct.error):
            return None  # decoding the sources says what is wrong with them
        return WorkingImage(pixels.view(np.ndarray), (height, width))

    def store(self, files: ImageFiles, image: WorkingImage) -> None:
        """Write an image, in place of an older one.

        Raises:
            CacheWriteError: the disk is full or the folder cannot be written to.
        """
        path, digest = self._locate(files)
        pixels = np.ascontiguousarray(image.pixels)
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as handle:
                np.lib.format.write_array_header_1_0(
                    handle, np.lib.format.header_data_from_array_1_0(pixels)
                )
                handle.write(pixels.data)
                handle.write(_SEAL.pack(digest, *image.source_shape_hw))
                handle.flush()
                os.fsync(handle.fileno())  # the bytes before the name, should power fail
        except InputError as error:
            raise CacheWriteError(
                f"image cache {self.folder}",
                str(error).split("found ", 1)[-1].split(", expected", 1)[0],
                "room for the decoded images",
                "free space, choose another folder, or train without the cache",
            ) from error

    def size(self) -> CacheSize:
        """Count the images of the folder, of other options too, and their bytes."""
        sizes = [path.stat().st_size for path in self.folder.glob("??/[!.]*.npy")]
        return CacheSize(len(sizes), sum(sizes))

    def remove_left(self) -> int:
        """Remove what killed writers left an hour ago or earlier; say how many files."""
        old = [
            path
            for path in self.folder.glob("??/.*.tmp.npy")
            if time.time() - path.stat().st_mtime > _LEFT_S
        ]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _locate(self, files: ImageFiles) -> tuple[Path, bytes]:
        """Give the image's file, and the digest that its seal must hold.

        Raises:
            KeyError: a channel is not among the files.
            OSError: a source is not there.
        """
        names: list[list[str]] = []
        states: list[tuple[int, int]] = []
        for channel in self.channels:
            path, plane = split_plane(files.paths[channel])
            state = path.stat()
            place = os.path.normpath(path.absolute())
            names.append([channel, place, "" if plane is None else str(plane)])
            states.append((state.st_size, state.st_mtime_ns))
        key = hashlib.sha256(json.dumps([_FORMAT, self.scale, names]).encode()).hexdigest()[:40]
        digest = hashlib.sha256(json.dumps(states).encode()).digest()[:24]
        return self.folder / key[:2] / f"{key[2:]}.npy", digest
