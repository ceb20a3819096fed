"""A COCO JSON taken line by line, so that a file of any size fits the memory.

Our writer gives every entry a line. Files of other tools are read whole and handed out as
the lines that our writer would have written.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpa_mmdet.coco.schema import Json, to_line
from hpa_mmdet.errors import InputError

SECTIONS: tuple[str, ...] = ("categories", "images", "annotations")


class CocoLines:
    """The sections of a file; `is_ours` says whether it is read without loading it.

    Args:
        path: a COCO JSON.

    Raises:
        InputError: it cannot be read, is not JSON or lacks a section.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content: dict[str, Any] | None = None
        self._annotations_at = 0
        self.is_ours = is_line_by_line(path)
        if self.is_ours:
            with _open(path) as handle:
                first = handle.readline()
            self.info: Json = parse_entry(path, first[len('{"info":') :].rstrip(",\n"))
        else:
            self._content = load_json(path)
            info = self._content.get("info")
            self.info = info if isinstance(info, dict) else {}
        self.categories: list[Json] = [
            parse_entry(path, line) for line in self._section("categories")
        ]

    def images(self) -> Iterator[str]:
        """Give the entries of `images`."""
        return self._section("images")

    def full_annotations(self) -> Iterator[str]:
        """Give the entries of `annotations` as they are."""
        return self._section("annotations")

    def annotations(self) -> Iterator[str]:
        """Give the entries of `annotations`, without their `id`, beginning with `image_id`.

        Raises:
            InputError: an entry has no image_id, or the file is cut off.
        """
        for line in self._section("annotations"):
            comma = line.index(",")
            if line.startswith('{"id":') and line.startswith('"image_id":', comma + 1):
                yield "{" + line[comma + 1 :]
            else:
                entry = parse_entry(self.path, line)
                image_id, number = entry.pop("image_id", None), entry.pop("id", None)
                if not isinstance(image_id, int):
                    raise InputError(
                        f"{self.path}, annotation {number}",
                        f"image_id {image_id!r}",
                        "the id of an image",
                        "run tools/validate_coco.py on the file",
                    )
                yield to_line({"image_id": image_id, **entry})

    def _section(self, name: str) -> Iterator[str]:
        if self._content is not None:
            yield from (to_line(entry) for entry in self._content[name])
            return
        with _open(self.path) as handle:
            if name == "annotations":
                handle.seek(self._annotations_at)
            # readline, for iterating would forbid tell
            while (line := handle.readline()) and line != f'"{name}":[\n':
                pass
            while (line := handle.readline()) and not line.startswith("]"):
                yield line.rstrip(",\n")
            if not line:
                raise InputError(self.path, "its end missing", "a whole file", "convert again")
            if name == "images":
                self._annotations_at = handle.tell()


def is_line_by_line(path: Path) -> bool:
    """Say whether a file begins as our writer's do, with one entry a line.

    Raises:
        InputError: it cannot be read.
    """
    with _open(path) as handle:
        first, second = handle.readline(1 << 20), handle.readline(1 << 10)
    return bool(first.startswith('{"info":') and second == '"categories":[\n')


def image_id_of(annotation: str) -> int:
    """Read the image id of a line that `CocoLines.annotations` gave.

    Examples:
        >>> image_id_of('{"image_id":17,"category_id":1}')
        17
    """
    return int(annotation[len('{"image_id":') : annotation.index(",")])


def load_json(path: Path) -> Json:
    """Load a COCO JSON whole.

    Raises:
        InputError: no such file, not JSON, or a section is missing.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise _cannot_open(path, error) from error
    except ValueError as error:
        raise InputError(path, f"no JSON ({error})", "a COCO JSON", "convert again") from error
    if not isinstance(content, dict):
        raise InputError(path, type(content).__name__, "a JSON object", "make it by convert_coco")
    for section in SECTIONS:
        if not isinstance(content.get(section), list):
            raise InputError(path, f"no list {section!r}", "a COCO JSON", "make it by convert_coco")
    return content


def _open(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise _cannot_open(path, error) from error


def _cannot_open(path: Path, error: OSError) -> InputError:
    return InputError(path, error.strerror or str(error), "a COCO JSON", "check the path")


def parse_entry(path: Path, line: str) -> Json:
    """Parse one line.

    Raises:
        InputError: it is not a JSON object.
    """
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise InputError(path, f"no JSON ({error})", "a COCO JSON", "convert again") from error
    if not isinstance(entry, dict):
        raise InputError(path, f"the entry {line[:40]}", "a JSON object", "convert again")
    return entry
