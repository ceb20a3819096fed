"""A store of crops, read: memory-mapped pixels in shards, and an index of all cells.

A store is a folder:
- `store.json`: format, version, options, shards, and where the crops come from,
- `pixels-00000.npy` and so on: (n, S, S, C) uint8 each, whole images only,
- `cells.parquet`: a row for each crop, in the order of the pixels,
- `images.parquet`: a row for each image, in the same order: its labels, group, first crop,
  number of crops, and size and time of the files that it was cut from,
- `dropped.csv`, `report.json`: what was left out and why.

The crops of an image are neighbours in one shard, so a bag is a slice.

N: crops; M: images; S: side of a crop in pixels; C: channels; K = 19.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.crops.index import CellIndex, ImageIndex, read_cell_index, read_image_index
from hpa_mmdet.crops.options import CropOptions, describe_difference
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import parse_json

FORMAT, VERSION = "hpa-mmdet crops", 1
HEADER, CELLS, IMAGES = "store.json", "cells.parquet", "images.parquet"
DROPPED, REPORT = "dropped.csv", "report.json"
_OPEN_SHARDS = 256  # each holds a file descriptor, of which a process commonly has 1,024


class PixelShard(NamedTuple):
    """One file of pixels: its name, how many crops it holds, its size."""

    file: str
    crops: int
    size_bytes: int


class CropStore:
    """A store that tools/extract_crops.py wrote, opened for reading.

    Pixels are memory-mapped: opening reads the index alone, and processes that read the
    same store share its pages. A store can be sent to worker processes; each opens it anew.

    Args:
        path: the folder.

    Raises:
        InputError: there is no store, it is of another version, or a file is missing or
            truncated.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.header = read_store_header(self.path)
        self.options = CropOptions.from_dict(self.header["options"], self.path / HEADER)
        self.shards = [PixelShard(*shard) for shard in self.header["shards"]]
        self._ends = np.cumsum([shard.crops for shard in self.shards], dtype=np.int64)
        self._maps: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        for shard in self.shards:
            _check_size(self.path / shard.file, shard.size_bytes)
        for name, rows, count in (
            (CELLS, len(self.cells.cell_ids), len(self)),
            (IMAGES, len(self.images.hpa_ids), int(self.header["images"])),
        ):
            if rows != count:
                raise InputError(
                    self.path / name, f"{rows} rows", f"{count} as in {HEADER}", "extract again"
                )

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __reduce__(self) -> tuple[Any, ...]:
        return CropStore, (self.path,)

    @cached_property
    def cells(self) -> CellIndex:
        """What is known of each crop, as arrays of length N."""
        return read_cell_index(self.path / CELLS)

    @cached_property
    def images(self) -> ImageIndex:
        """What is known of each image, as arrays of length M."""
        return read_image_index(self.path / IMAGES)

    @property
    def crop_shape(self) -> tuple[int, int, int]:
        """S, S and C."""
        return self.options.size_px, self.options.size_px, len(self.options.channels)

    def slice_of(self, image: int) -> slice:
        """Give the crops of the image at this place of `images`."""
        begin = int(self.images.first_crops[image])
        return slice(begin, begin + int(self.images.crop_counts[image]))

    def bag(self, image: int) -> NDArray[np.uint8]:
        """Give the crops of an image, (n, S, S, C) uint8: a view of the file, not a copy."""
        crops = self.slice_of(image)
        if crops.stop == crops.start:
            return np.zeros((0, *self.crop_shape), np.uint8)
        shard = int(np.searchsorted(self._ends, crops.start, side="right"))
        begin = int(self._ends[shard]) - self.shards[shard].crops
        return self._map(shard)[crops.start - begin : crops.stop - begin]

    def __getitem__(self, crop: int) -> NDArray[np.uint8]:
        """Give one crop, (S, S, C) uint8: a view of the file, not a copy."""
        if not 0 <= crop < len(self):
            raise IndexError(crop)
        shard = int(np.searchsorted(self._ends, crop, side="right"))
        return self._map(shard)[crop - int(self._ends[shard]) + self.shards[shard].crops]

    def take(self, crops: Sequence[int] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """Copy some crops, in the order asked for, to one array (n, S, S, C) uint8."""
        taken = np.empty((len(crops), *self.crop_shape), np.uint8)
        for at, crop in enumerate(crops):
            taken[at] = self[int(crop)]
        return taken

    def check_options(self, expected: CropOptions, where: object = "config") -> None:
        """Refuse a store whose crops were cut in another way than a model expects.

        Raises:
            InputError: an option differs, such as the channels.
        """
        for name, found, wanted in describe_difference(self.options, expected):
            raise InputError(
                self.path,
                f"{name} {_words(found)}",
                f"{_words(wanted)} as in {where}",
                "extract the crops with the options of the config, or change the config",
            )

    def _map(self, shard: int) -> NDArray[np.uint8]:
        if shard in self._maps:
            self._maps.move_to_end(shard)
            return self._maps[shard]
        path = self.path / self.shards[shard].file
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(path, problem=str(error), remedy="extract the crops again") from error
        if array.shape != (self.shards[shard].crops, *self.crop_shape) or array.dtype != np.uint8:
            raise InputError(
                path,
                f"{array.dtype} of {array.shape}",
                f"uint8 of {(self.shards[shard].crops, *self.crop_shape)}",
                "extract the crops again",
            )
        self._maps[shard] = array
        if len(self._maps) > _OPEN_SHARDS:
            self._maps.popitem(last=False)
        return array


def read_store_header(path: Path) -> dict[str, Any]:
    """Read what a store says of itself.

    Raises:
        InputError: there is no store, it is of another version, or its header is damaged.
    """
    try:
        header = parse_json((path / HEADER).read_bytes(), path / HEADER)
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}")
        version = header["version"]
        if version == VERSION:
            return {name: header[name] for name in ("options", "shards", "images", "source")}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            path,
            problem="holds no finished store of crops",
            remedy="make one with tools/extract_crops.py, or run its command again to finish it",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path / HEADER, problem=f"is no header of a store ({error})", remedy="extract again"
        ) from error
    raise InputError(
        path, f"a store of version {version}", f"version {VERSION}", "extract the crops again"
    )


def _check_size(path: Path, size_bytes: int) -> None:
    """Refuse a file of pixels that is missing or of another size than it was written."""
    try:
        found = path.stat().st_size
    except OSError as error:
        raise InputError(
            path, problem=error.strerror or str(error), remedy="extract the crops again"
        ) from error
    if found != size_bytes:
        raise InputError(
            path,
            f"{found:,} bytes",
            f"{size_bytes:,}",
            "copy the whole file, or extract the crops again",
        )


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
