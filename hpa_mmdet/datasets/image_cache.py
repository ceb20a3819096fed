"""Decoded images in memory-mapped files, so that each is decoded and resized once.

An image of the cache is a plain `.npy` file, `<place>/<state>-<height>x<width>.npy`. `place`
is a digest of the sources' paths and the options, `state` one of the sources' sizes and times
and of the code that decodes them; height and width are those of the sources. So a changed
source has another name, and its old file is removed. Each image has a folder of its own, so that
finding it takes as long in a large cache as in a small one. A file gets its name when it is whole:
several processes may fill one cache, and one that is killed leaves nothing that could be read.

H, W: size of the working image in pixels; C: channels.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpa_mmdet.datasets.working_image import WorkingImage
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path, remove_temporary_files
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.jobs.fingerprint import code_digest, fingerprint

_FOLDERS = f"??/{'?' * 38}"  # the digest of a place, its first two letters apart
_NAME = re.compile(r"([0-9a-f]{24})-([0-9]+)x([0-9]+)\.npy")
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
        white_level: full brightness in 16-bit sources; None measures it image by image.
    """

    def __init__(
        self,
        folder: Path,
        channels: Sequence[str],
        scale: float = 1.0,
        white_level: int | None = None,
    ) -> None:
        self.folder, self.channels, self.scale = Path(folder), tuple(channels), float(scale)
        # 8-bit data are the same however their level was found
        self.white_level = None if white_level == 255 else white_level

    def read(self, files: ImageFiles) -> WorkingImage | None:
        """Map an image; None where it is missing, stale or not whole, or a source is missing.

        The pixels may be written to: what is written stays in this process.
        """
        try:
            folder, state = self._locate(files)
            path, shape_hw = next(
                (path, (int(fit[2]), int(fit[3])))
                for path in folder.iterdir()
                if (fit := _NAME.fullmatch(path.name)) and fit[1] == state
            )
            pixels = np.load(path, mmap_mode="c")
        except (StopIteration, OSError, KeyError, ValueError, EOFError):
            return None  # decoding the sources says what is wrong with them
        return WorkingImage(pixels.view(np.ndarray), shape_hw)

    def store(self, files: ImageFiles, image: WorkingImage) -> None:
        """Write an image, in place of an older one.

        Raises:
            CacheWriteError: the disk is full or the folder cannot be written to.
        """
        folder, state = self._locate(files)
        height, width = image.source_shape_hw
        path = folder / f"{state}-{height}x{width}.npy"
        try:
            with atomic_path(path) as temporary, temporary.open("wb") as handle:
                np.save(handle, np.ascontiguousarray(image.pixels))
                handle.flush()
                os.fsync(handle.fileno())  # the bytes before the name, should power fail
        except InputError as error:
            raise CacheWriteError(
                f"image cache {self.folder}",
                problem=str(error).removeprefix(f"{path}: ").split(";")[0],
                remedy="free space, choose another folder, or train without the cache",
            ) from error
        for older in folder.iterdir():
            if _NAME.fullmatch(older.name) and older != path:
                older.unlink(missing_ok=True)

    def size(self) -> CacheSize:
        """Count the images of the folder, of other options too, and their bytes."""
        files = self.folder.glob(f"{_FOLDERS}/*.npy")
        sizes = [path.stat().st_size for path in files if _NAME.fullmatch(path.name)]
        return CacheSize(len(sizes), sum(sizes))

    def remove_left(self) -> int:
        """Remove what killed writers left an hour ago or earlier; say how many files."""
        return sum(remove_temporary_files(place, _LEFT_S) for place in self.folder.glob(_FOLDERS))

    def _locate(self, files: ImageFiles) -> tuple[Path, str]:
        """Give the image's folder and the digest of its sources' state.

        Raises:
            KeyError: a channel is not among the files.
            OSError: a source is not there.
        """
        names: list[tuple[str, str, int | None]] = []
        states: list[tuple[int, int]] = []
        for channel in self.channels:
            path, plane = split_plane(files.paths[channel])
            status = path.stat()
            names.append((channel, os.path.normpath(path.absolute()), plane))
            states.append((status.st_size, status.st_mtime_ns))
        place = fingerprint(self.scale, self.white_level, names)
        state = fingerprint(states, code_digest("hpa_mmdet.datasets.working_image"))[:24]
        return self.folder / place[:2] / place[2:], state
