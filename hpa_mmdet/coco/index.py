"""One image at a time out of a COCO JSON of any size.

A first pass notes where each image's lines begin, 24 bytes an image; after that an image
is read by itself. Made for datasets that are larger than the memory of their workers.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.lines import CocoLines, parse_entry
from hpa_mmdet.coco.read import CocoImage, read_categories, read_image, read_images_root
from hpa_mmdet.errors import InputError
from hpa_mmdet.jobs.shards import Shard


class CocoIndex:
    """A sequence of images that are read when asked for; picklable, safe to fork.

    Args:
        path: a COCO JSON of convert_coco or merge_coco.
        shard: the part of the images to give; None for all.

    Raises:
        InputError: the file cannot be read, is not in the layout of our writer, or its
            annotations are not in the order of its images.
    """

    def __init__(self, path: Path, shard: Shard | None = None) -> None:
        lines = CocoLines(path)
        if not lines.is_ours:
            raise InputError(
                path,
                "a JSON that must be loaded whole",
                "one entry a line, as convert_coco writes it",
                "rewrite it with tools/merge_coco.py",
            )
        self.path = path
        self.images_root = read_images_root(lines.info, path)
        self._categories = read_categories(lines.categories, path)
        places = _find_lines(path)
        self._places = places if shard is None else places[shard.range_of(len(places))]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, at: int) -> CocoImage:
        """Read one image with its cells.

        Raises:
            InputError: the file has changed since, or an annotation has no category.
        """
        image_at, cells_at, count = (int(number) for number in self._places[at])
        # opened anew: a handle shared with forked workers would share its place too
        with self.path.open("rb") as handle:
            handle.seek(image_at)
            image = self._entry(handle)
            handle.seek(cells_at)
            annotations = [self._entry(handle) for _ in range(count)]
        return read_image(image, annotations, self._categories, self.path)

    def __iter__(self) -> Iterator[CocoImage]:
        return (self[at] for at in range(len(self)))

    def _entry(self, handle: IO[bytes]) -> dict[str, Any]:
        return parse_entry(self.path, handle.readline().decode("utf-8", "replace").rstrip(",\n"))


def _find_lines(path: Path) -> NDArray[np.int64]:
    """Give for each image where it and its first annotation begin, and how many follow."""
    images: list[int] = []
    row_of: dict[int, int] = {}
    cells: list[list[int]] = []
    section, at, previous = b"", 0, -1
    with path.open("rb") as handle:
        for line in handle:
            if line.endswith(b'":[\n'):
                section = line
            elif line.startswith(b"{") and section == b'"images":[\n':
                row_of[_number(line, b'{"id":')] = len(images)
                images.append(at)
                cells.append([0, 0])
            elif line.startswith(b"{") and section == b'"annotations":[\n':
                row = row_of.get(_number(line, b'"image_id":'), -1)
                if row < previous or row < 0:
                    raise InputError(
                        path,
                        f"annotations out of order ({line[:40].decode('utf-8', 'replace')})",
                        "those of one image together, in the order of the images",
                        "rewrite the file with tools/merge_coco.py or tools/convert_coco.py",
                    )
                if row != previous:
                    cells[row][0] = at
                cells[row][1] += 1
                previous = row
            at += len(line)
    return np.column_stack([np.array(images, np.int64), np.array(cells, np.int64).reshape(-1, 2)])


def _number(line: bytes, key: bytes) -> int:
    begin = line.index(key) + len(key)
    return int(line[begin : line.index(b",", begin)])
