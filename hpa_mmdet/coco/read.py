"""A COCO JSON read whole; `hpa_mmdet.coco.parse` says what its entries must be."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from hpa_mmdet.coco.parse import CocoImage, CocoParser
from hpa_mmdet.coco.schema import Json
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import check_path, read_json_object

SECTIONS: tuple[str, ...] = ("categories", "images", "annotations")
_IMAGES_AT_ONCE = 64  # whose masks are checked together


@dataclass(frozen=True)
class CocoData:
    """A file: its images by their order in it; `images_root` None without pixels."""

    path: Path
    images: Sequence[CocoImage]
    images_root: Path | None


@contextmanager
def _paused_collection() -> Iterator[None]:
    """Pause Python's search for circles, which would walk a growing file again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_paused_collection()
def read_coco(path: Path) -> CocoData:
    """Read a COCO JSON whole.

    Raises:
        InputError: it cannot be read, is not COCO JSON, or an entry does not fit; see the
            module for the rules.
    """
    content = load_sections(path)
    parser = CocoParser(path, content["categories"])
    images: dict[int, CocoImage] = {}
    for place, entry in enumerate(content["images"]):
        image = parser.read_image(entry, place)
        if image.image_id in images:
            raise parser.id_twice(image.image_id)
        images[image.image_id] = image
    of_image: dict[int, list[Json]] = {image_id: [] for image_id in images}
    for place, entry in enumerate(content.pop("annotations")):
        of_image[parser.image_id_of(entry, place, of_image)].append(entry)
    read: list[CocoImage] = []
    for batch in _batches(images.values()):
        entries = [of_image.pop(image.image_id) for image in batch]  # they are not needed again
        cells_of = parser.read_cells(batch[0].shape_hw, entries)
        read += (image._replace(cells=cells) for image, cells in zip(batch, cells_of, strict=True))
    return CocoData(path, read, find_images_root(content.get("info"), path))


def _batches(images: Iterable[CocoImage]) -> Iterator[Sequence[CocoImage]]:
    """Part images into neighbours of one size."""
    for _, alike in groupby(images, lambda image: image.shape_hw):
        while batch := list(islice(alike, _IMAGES_AT_ONCE)):
            yield batch


@_paused_collection()
def load_sections(path: Path) -> Json:
    """Load a COCO JSON whole.

    Raises:
        InputError: as `read_json_object`, or a section is missing.
    """
    content = read_json_object(path, any_whole_number=True)
    for section in SECTIONS:
        if not isinstance(content.get(section), list):
            raise InputError(
                path, f"no list {section!r}", "a COCO JSON", "make it with tools/convert_coco.py"
            )
    return content


def find_images_root(info: object, path: Path) -> Path | None:
    """Give the images' folder that `info` names, relative to the file's own folder.

    Raises:
        InputError: `images_root` can be no path.
    """
    if not isinstance(info, dict) or info.get("images_root") is None:
        return None
    return path.parent / check_path(info["images_root"], f"{path}, info, images_root")
