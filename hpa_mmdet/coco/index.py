"""One image at a time out of a COCO JSON of any size.

A first pass notes where each image's lines begin, 24 bytes an image; after that an image
is read by itself. Made for datasets that are larger than the memory of their workers.
"""

import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.lines import CocoLines, cut_off, is_line_by_line, open_coco_file
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.read import CocoData, find_images_root, read_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import as_object, parse_json

_LAST_LINE = b"]}"


class NotInOrderError(InputError):
    """A JSON that can be read, but only whole."""


def open_coco(path: Path) -> CocoData:
    """Open a COCO JSON: image by image where its layout lets it, else read whole.

    The same images either way; what is wrong with one image of a file that our writer
    made shows when that image is read.

    Raises:
        InputError: as `read_coco`.
    """
    try:
        images = CocoIndex(path)
    except NotInOrderError:
        return read_coco(path)
    return CocoData(path, images, images.images_root)


def images_without_cells(images: Sequence[CocoImage]) -> Iterator[CocoImage]:
    """Go through a file's images for their names and labels; an index reads no cells for it."""
    if isinstance(images, CocoIndex):
        return (images.without_cells(at) for at in range(len(images)))
    return (image._replace(cells=()) for image in images)


class CocoIndex(Sequence[CocoImage]):
    """A sequence of images that are read when asked for; picklable, safe to fork.

    Args:
        path: a COCO JSON of convert_coco or merge_coco.

    Raises:
        InputError: the file cannot be read or lacks its end.
        NotInOrderError: it is not in the layout of our writer, or its annotations are not
            in the order of its images.
    """

    def __init__(self, path: Path) -> None:
        if not is_line_by_line(path):
            raise NotInOrderError(
                path,
                problem="the JSON has not one entry a line, so it must be loaded whole",
                remedy="rewrite it with tools/merge_coco.py",
            )
        lines = CocoLines(path)
        self.path = path
        self.images_root = find_images_root(lines.info, path)
        self._parser = lines.parser
        self._stamp = _stamp(path.stat())
        self._places = _find_lines(path)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def annotation_counts(self) -> NDArray[np.int64]:
        """Give for each image how many annotations it has; nothing is read."""
        return self._places[:, 2]

    @overload
    def __getitem__(self, at: int) -> CocoImage: ...

    @overload
    def __getitem__(self, at: slice) -> list[CocoImage]: ...

    def __getitem__(self, at: int | slice) -> CocoImage | list[CocoImage]:
        """Read one image with its cells, or several.

        Raises:
            InputError: the file has changed since, or an entry does not fit.
        """
        if isinstance(at, slice):
            return [self[place] for place in range(len(self))[at]]
        return self._read(at, with_cells=True)

    def without_cells(self, at: int) -> CocoImage:
        """Read one image's own line alone; `cells` stay empty.

        Raises:
            InputError: the file has changed since.
        """
        return self._read(at, with_cells=False)

    def __iter__(self) -> Iterator[CocoImage]:
        return (self[at] for at in range(len(self)))

    def _read(self, at: int, *, with_cells: bool) -> CocoImage:
        image_at, cells_at, count = (int(number) for number in self._places[at])
        # opened anew: a handle shared with forked workers would share its place too
        with self.path.open("rb") as handle:
            if _stamp(os.fstat(handle.fileno())) != self._stamp:
                raise InputError(
                    self.path,
                    problem="the file was changed since it was opened",
                    remedy="start again",
                )
            handle.seek(image_at)
            (entry,) = self._entries([handle.readline()], f"image at place {at}")
            handle.seek(cells_at)
            lines = [handle.readline() for _ in range(count if with_cells else 0)]
        image = self._parser.read_image(entry, at)
        annotations = self._entries(lines, f"annotations of image {image.image_id}")
        for annotation in annotations:
            if annotation.get("image_id") != image.image_id:  # not the first key of that name
                self._parser.image_id_of(annotation, at, {image.image_id: image})
        (cells,) = self._parser.read_cells(image.shape_hw, [annotations])
        return image._replace(cells=cells)

    def _entries(self, lines: list[bytes], what: str) -> list[dict[str, Any]]:
        """Parse lines together, which takes half the time of one by one."""
        where = f"{self.path}, {what}"
        joined = b"[" + b",".join(line.rstrip(b",\n") for line in lines) + b"]"
        entries = parse_json(joined, where, any_whole_number=True)
        if len(entries) != len(lines):
            raise InputError(
                where, problem="a line holds no or several entries", remedy="convert again"
            )
        return [as_object(entry, where) for entry in entries]


def _find_lines(path: Path) -> NDArray[np.int64]:
    """Give for each image where it and its first annotation begin, and how many follow."""
    ids, begins = array("q"), array("q")
    cells = np.zeros((0, 2), np.int64)
    section, last, at, row = b"", b"", 0, 0
    with open_coco_file(path) as handle:
        for line in handle:
            if line.endswith(b'":[\n'):
                section = line
                cells = np.zeros((len(ids), 2), np.int64)
            elif line.startswith(b"{") and section == b'"images":[\n':
                ids.append(_number(path, line, b'{"id":'))
                begins.append(at)
            elif line.startswith(b"{") and section == b'"annotations":[\n':
                row = _row_of(path, line, ids, row)
                if not cells[row, 1]:
                    cells[row, 0] = at
                cells[row, 1] += 1
            elif not line.startswith((b"{", b"]", b"\n")):
                raise _out_of_order(path, line)
            if line != b"\n":
                last = line
            at += len(line)
    if last.rstrip(b"\n") != _LAST_LINE:
        raise cut_off(path)
    if len(set(ids)) < len(ids):
        raise _out_of_order(path, b"an image id stands twice")
    return np.column_stack([np.frombuffer(begins, np.int64), cells])


def _row_of(path: Path, line: bytes, ids: Sequence[int], row: int) -> int:
    """Give the place of an annotation's image: that of the one before, or a later one."""
    image_id = _number(path, line, b'"image_id":')
    for later in range(row, len(ids)):
        if ids[later] == image_id:
            return later
    raise _out_of_order(path, line)


def _number(path: Path, line: bytes, key: bytes) -> int:
    try:
        begin = line.index(key) + len(key)
        digits = line[begin : line.index(b",", begin)]
        if not digits.isdigit() or len(digits) > 18:
            raise ValueError
        return int(digits)
    except ValueError:
        raise _out_of_order(path, line) from None


def _out_of_order(path: Path, line: bytes) -> NotInOrderError:
    return NotInOrderError(
        path,
        problem="annotations are not in the order of the images "
        f"({line[:40].decode('utf-8', 'replace')})",
        remedy="convert again, or train on it as it is: it is then read whole",
    )


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
