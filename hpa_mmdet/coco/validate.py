"""Checks of a COCO JSON: its schema, its meaning, and what readers would silently drop."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpa_mmdet.coco.check_annotations import (
    Keys,
    KnownImage,
    check_annotations,
    has_keys,
    is_rising,
)
from hpa_mmdet.coco.findings import Findings
from hpa_mmdet.coco.index import open_coco
from hpa_mmdet.coco.lines import CocoLines, ShownLines
from hpa_mmdet.coco.read import find_images_root
from hpa_mmdet.coco.schema import build_categories
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import resolve_below
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.pictures import check_intensities, read_header
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.localizations import NUM_LOCALIZATIONS

_SMALLEST_SIDE = 32  # mmdet's usual filter_cfg min_size

_IMAGE_KEYS: Keys = {
    "id": int,
    "file_name": str,
    "width": int,
    "height": int,
    "hpa_id": str,
    "channel_files": dict,
    "labels": list,
}


def validate(path: Path, images_root: Path | None = None, *, check_files: bool = True) -> Findings:
    """Check a file, line by line if convert_coco wrote it.

    Args:
        path: a COCO JSON.
        images_root: the images' folder; None for the one that the file names.
        check_files: also see that every image file is there and has its size.

    Raises:
        InputError: it cannot be read as COCO JSON at all.
    """
    lines = ShownLines(path, "checked")
    findings = Findings(path)
    if lines.categories != build_categories():
        findings.add("category", f"{len(lines.categories)} categories")
    root = images_root or find_images_root(lines.info, path)
    images = _check_images(lines, findings, root if check_files else None)
    ids = [category.get("id") for category in lines.categories]
    known = {category_id for category_id in ids if isinstance(category_id, int)}
    check_annotations(lines, images, known, findings)
    if not findings.errors:  # then every tool must be able to read it
        try:
            data = open_coco(path)
            with progress("read once more: images", len(data.images)) as advance:
                for _ in data.images:
                    advance(1)
        except InputError as error:
            findings.add("refused", str(error))
    return findings


def _check_images(lines: CocoLines, findings: Findings, root: Path | None) -> dict[int, KnownImage]:
    images: dict[int, KnownImage] = {}
    names: set[str] = set()
    for place, (_, image) in enumerate(lines.entries("images")):
        findings.images += 1
        if not has_keys(image, _IMAGE_KEYS, f"image at place {place}", findings):
            continue
        where = f"image {image['id']} ({image['hpa_id']})"
        if image["id"] in images:
            findings.add("duplicate id", where)
        if image["hpa_id"] in names:
            findings.add("duplicate image", where)
        names.add(image["hpa_id"])
        size_wh = (image["width"], image["height"])
        if min(size_wh) < 1:
            findings.add("size", f"{where}: {size_wh[0]}x{size_wh[1]}")
        elif min(size_wh) < _SMALLEST_SIDE:
            findings.add("small image", f"{where}: {size_wh[0]}x{size_wh[1]}")
        if not is_rising(image["labels"], 0, NUM_LOCALIZATIONS - 1):
            findings.add("image labels", f"{where}: {image['labels']}")
        labels = frozenset(label for label in image["labels"] if isinstance(label, int))
        images[image["id"]] = KnownImage(where, place, size_wh, labels)
        if root is not None:
            _check_files(image, where, root, findings)
    return images


def _check_files(image: Mapping[str, Any], where: str, root: Path, findings: Findings) -> None:
    names = [*image["channel_files"].values()] or [image["file_name"]]
    try:
        paths = [resolve_below(root, name, where) for name in names]
    except InputError as error:
        findings.add("missing file", str(error))
        return
    depths: set[int] = set()
    for path in dict.fromkeys(split_plane(path)[0] for path in paths):
        if not path.is_file():
            findings.add("missing file", f"{where}: {path}")
            continue
        try:
            header = read_header(path)
            check_intensities(path, header)
        except InputError as error:
            findings.add("missing file", f"{where}: {error}")
            continue
        size_wh = header.size_wh
        depths.add(max(8, header.bits))
        if size_wh != (image["width"], image["height"]):
            findings.add(
                "file size",
                f"{where}: {path.name} is {size_wh[0]}x{size_wh[1]}, "
                f"the entry {image['width']}x{image['height']}",
            )
    if len(depths) > 1:
        findings.add("depth", f"{where}: files of 8 and of 16 bits")
