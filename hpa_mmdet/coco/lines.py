"""A COCO JSON taken line by line, so that a file of any size fits the memory.

Our writer gives every entry a line. Files of other tools are read whole and handed out as
the lines that our writer would have written.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import IO, NamedTuple

from hpa_mmdet.coco.parse import CocoImage, CocoParser
from hpa_mmdet.coco.read import load_sections
from hpa_mmdet.coco.schema import Json, to_line
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import as_object, parse_json
from hpa_mmdet.jobs.progress import progress


class Line(NamedTuple):
    """One entry: its text on one line, and what it holds."""

    text: str
    entry: Json


class CocoLines:
    """The entries of a file, section by section.

    Attributes:
        info: what the file says of itself; empty where it says nothing.
        categories: its entries.

    Args:
        path: a COCO JSON.

    Raises:
        InputError: it cannot be read, is not JSON or lacks a section.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content: Json | None = None
        self._annotations_at = 0
        if is_line_by_line(path):
            with open_coco_file(path) as handle:
                first = handle.readline()
            info = parse_json(first[len(b'{"info":') :].rstrip(b",\n"), path)
        else:
            self._content = load_sections(path)
            info = self._content.get("info")
        self.info: Json = info if isinstance(info, dict) else {}
        self.categories: list[Json] = [line.entry for line in self.entries("categories")]

    @cached_property
    def parser(self) -> CocoParser:
        """What reads the other entries.

        Raises:
            InputError: the categories are not the localizations.
        """
        return CocoParser(self.path, self.categories)

    def images(self) -> Iterator[tuple[Line, CocoImage]]:
        """Give the entries of `images`, and each as the parser reads it, without cells.

        Raises:
            InputError: an entry does not fit, or an image id stands twice.
        """
        seen: set[int] = set()
        for place, line in enumerate(self.entries("images")):
            image = self.parser.read_image(line.entry, place)
            if image.image_id in seen:
                raise self.parser.id_twice(image.image_id)
            seen.add(image.image_id)
            yield line, image

    def annotations(self, shapes_hw: Mapping[int, tuple[int, int]]) -> Iterator[tuple[Line, int]]:
        """Give the entries of `annotations`, checked, each with the id of its image.

        Args:
            shapes_hw: size of each image by its id.

        Raises:
            InputError: an entry does not fit.
        """
        lines = (
            (line, self.parser.image_id_of(line.entry, place, shapes_hw))
            for place, line in enumerate(self.entries("annotations"))
        )
        for image_id, group in groupby(lines, lambda pair: pair[1]):
            of_image = list(group)
            self.parser.read_cells(shapes_hw[image_id], [[line.entry for line, _ in of_image]])
            yield from of_image

    def entries(self, section: str) -> Iterator[Line]:
        """Give the entries of a section as they are.

        Raises:
            InputError: one is no JSON object, or the file is cut off.
        """
        if self._content is not None:
            for entry in self._content[section]:
                yield Line(to_line(entry), as_object(entry, f"{self.path}, {section}"))
            return
        where = f"{self.path}, {section}"
        for text in self._lines_of(section):
            entry = parse_json(text, where, any_whole_number=True)
            yield Line(text.decode("utf-8", "replace"), as_object(entry, where))

    def count(self, section: str) -> int:
        """Count the entries of a section, without looking at them.

        Raises:
            InputError: the file is cut off.
        """
        if self._content is not None:
            return len(self._content[section])
        return sum(1 for _ in self._lines_of(section))

    def _lines_of(self, section: str) -> Iterator[bytes]:
        with open_coco_file(self.path) as handle:
            if section == "annotations":
                handle.seek(self._annotations_at)
            beginning = f'"{section}":[\n'.encode()
            # readline, for iterating would forbid tell
            while (data := handle.readline()) and data != beginning:
                pass
            while (data := handle.readline()) and not data.startswith(b"]"):
                yield data.rstrip(b",\n")
            if not data:
                raise cut_off(self.path)
            if section == "images":
                self._annotations_at = handle.tell()


class ShownLines(CocoLines):
    """The entries of a file, and how far the reading is, on stderr.

    Args:
        path: a COCO JSON.
        done: what is done with the entries, such as "checked".

    Raises:
        InputError: as `CocoLines`.
    """

    def __init__(self, path: Path, done: str) -> None:
        self._done = done
        super().__init__(path)

    def entries(self, section: str) -> Iterator[Line]:
        """Give the entries of a section; see `CocoLines`."""
        with progress(f"{section} {self._done}", self.count(section)) as advance:
            for line in super().entries(section):
                yield line
                advance(1)


def without_id(annotation: Line, image_id: int) -> str:
    """Give the line of an annotation without its `id`, beginning with `image_id`.

    Examples:
        >>> line = '{"id":3,"image_id":17,"category_id":1}'
        >>> without_id(Line(line, {"id": 3, "image_id": 17, "category_id": 1}), 5)
        '{"image_id":5,"category_id":1}'
    """
    text, entry = annotation
    start = f'{{"id":{entry["id"]},"image_id":{entry["image_id"]},'
    if text.startswith(start):
        return f'{{"image_id":{image_id},{text[len(start) :]}'
    others = {key: value for key, value in entry.items() if key not in ("id", "image_id")}
    return to_line({"image_id": image_id, **others})


def is_line_by_line(path: Path) -> bool:
    """Say whether a file begins as our writer's do, with one entry a line.

    Raises:
        InputError: it cannot be read.
    """
    with open_coco_file(path) as handle:
        first, second = handle.readline(1 << 20), handle.readline(1 << 10)
    return first.startswith(b'{"info":') and second == b'"categories":[\n'


def open_coco_file(path: Path) -> IO[bytes]:
    """Open a file for reading.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(
            path, problem=f"cannot be read ({error.strerror or error})", remedy="check the path"
        ) from error


def cut_off(path: Path) -> InputError:
    """Give the error of a file of our layout without its end."""
    return InputError(path, problem="the file is cut off", remedy="convert again")
