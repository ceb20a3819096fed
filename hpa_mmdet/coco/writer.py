"""Writing a COCO JSON while its images arrive, in memory that does not grow.

Every image and every annotation has a line of its own, so the file can be read back
piece by piece, compared with diff and merged with others.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from hpa_mmdet.coco.schema import Json, build_categories, to_line
from hpa_mmdet.io.atomic import atomic_path

_REVIEWED = '"reviewed":true'


class CocoWriter:
    """Takes entries as lines; annotation ids count from 1 in the order added."""

    def __init__(self, images: IO[str], annotations: IO[str]) -> None:
        self._images = images
        self._annotations = annotations
        self.image_count = 0
        self.annotation_count = self.reviewed_count = 0

    def add_image(self, line: str) -> None:
        """Add an entry of `images`."""
        self._images.write(",\n" + line if self.image_count else "\n" + line)
        self.image_count += 1

    def add_annotation(self, line: str) -> None:
        """Add an entry of `annotations` that has no `id` yet."""
        comma = "," if self.annotation_count else ""
        self.annotation_count += 1
        self.reviewed_count += _REVIEWED in line
        self._annotations.write(f'{comma}\n{{"id":{self.annotation_count},{line[1:]}')

    def describe(self) -> str:
        """Say how much was written."""
        reviewed = f" ({self.reviewed_count} of reviewed cells)" if self.reviewed_count else ""
        return f"{self.image_count} images, {self.annotation_count} annotations{reviewed}"


@contextmanager
def open_writer(
    path: Path, info: Json, categories: Sequence[Json] | None = None
) -> Iterator[CocoWriter]:
    """Give a writer; `path` appears, whole, when the block ends well.

    Raises:
        InputError: the disk is full or the place cannot be written.
    """
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(path))
        out = stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))
        spill = stack.enter_context(
            tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=path.parent)
        )
        out.write('{"info":' + to_line(info) + ',\n"categories":[')
        listed = build_categories() if categories is None else categories
        out.write(",".join("\n" + to_line(category) for category in listed))
        out.write('\n],\n"images":[')
        yield CocoWriter(out, spill)
        out.write('\n],\n"annotations":[')
        spill.seek(0)
        shutil.copyfileobj(spill, out, 1 << 20)
        out.write("\n]}\n")
