"""Writing a COCO JSON while its images arrive, in memory that does not grow.

Every image and every annotation has a line of its own, so the file can be read back
piece by piece, compared with diff and merged with others.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hpa_mmdet.coco.schema import Json
from hpa_mmdet.io.atomic import atomic_path


def to_line(entry: Json) -> str:
    """Write one entry without spaces or line breaks; the same entry gives the same bytes."""
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


class CocoWriter:
    """Collects images and annotations; annotation ids count from 1 in the order added."""

    def __init__(self, images: IO[str], annotations: IO[str]) -> None:
        self._images = images
        self._annotations = annotations
        self.image_count = 0
        self.annotation_count = 0

    def add(self, image: Json, annotations: Sequence[Json]) -> None:
        """Add one image and its annotations, whose `id` is set here."""
        self._images.write(("," if self.image_count else "") + "\n" + to_line(image))
        self.image_count += 1
        for annotation in annotations:
            self._annotations.write("," if self.annotation_count else "")
            self.annotation_count += 1
            self._annotations.write("\n" + to_line({**annotation, "id": self.annotation_count}))


@contextmanager
def open_writer(path: Path, info: Json, categories: Sequence[Json]) -> Iterator[CocoWriter]:
    """Give a writer; `path` appears, whole, when the block ends well."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        out.write('{"info":' + to_line(info) + ',\n"categories":[')
        out.write(",".join("\n" + to_line(category) for category in categories))
        out.write('\n],\n"images":[')
        with tempfile.TemporaryFile(
            "w+", encoding="utf-8", newline="\n", dir=path.parent
        ) as annotations:
            yield CocoWriter(out, annotations)
            out.write('\n],\n"annotations":[')
            annotations.seek(0)
            shutil.copyfileobj(annotations, out, 1 << 20)
        out.write("\n]}\n")
