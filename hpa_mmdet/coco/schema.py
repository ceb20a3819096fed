"""The COCO JSON of this project: its keys, built in one place.

One annotation per cell. `category_id` is the first of the cell's set, for readers that
know a single label; `category_ids` is the whole set. Both are `hpa_index + 1`, because
common readers take category 0 for background. docs/reference/coco_format.md has it all.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpa_mmdet import __version__
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.masks.encode import EncodedCell

Json = dict[str, Any]
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)  # made once: faster
LAYOUTS: tuple[str, ...] = ("per-cell", "per-label")


def to_line(entry: object) -> str:
    """Write one entry without spaces or line breaks; the same entry gives the same bytes.

    Raises:
        InputError: its values are nested too deeply.
    """
    try:
        return _ENCODER.encode(entry)
    except RecursionError as error:
        raise InputError(
            "a JSON entry", problem="values are nested too deeply", remedy="take them out"
        ) from error


def build_info(images_root: Path | None, out: Path, annotated: str = "cells") -> Json:
    """Describe the file; `images_root` is written relative to the folder of `out`.

    Thus a dataset that is moved with its images stays readable. `annotated` says what an
    annotation outlines: cells, nuclei or cytoplasm.
    """
    root = None
    if images_root is not None:
        root = Path(os.path.relpath(images_root.resolve(), out.parent.resolve())).as_posix()
    return {
        "description": "Cells with Human Protein Atlas localizations, made by hpa-mmdet",
        "version": __version__,
        "images_root": root,
        "annotated": annotated,
    }


def build_categories() -> list[Json]:
    """List the 19 localizations as categories 1 to 19."""
    return [
        {
            "id": localization.hpa_index + 1,
            "name": localization.name,
            "hpa_index": localization.hpa_index,
            "supercategory": "localization",
        }
        for localization in LOCALIZATIONS
    ]


def build_image(
    image_id: int,
    hpa_id: str,
    file_name: str,
    size_wh: tuple[int, int],
    channel_files: Mapping[str, str],
    image_labels: Sequence[int],
) -> Json:
    """Build an entry of `images`; file names are relative to the images' folder.

    `image_labels` are the weak labels, as hpa_index.
    """
    return {
        "id": image_id,
        "file_name": file_name,
        "width": size_wh[0],
        "height": size_wh[1],
        "hpa_id": hpa_id,
        "channel_files": dict(channel_files),
        "labels": list(image_labels),
    }


def build_annotations(
    image_id: int,
    cell: EncodedCell,
    size_hw: tuple[int, int],
    cell_labels: Sequence[int],
    layout: str = "per-cell",
    *,
    reviewed: bool = False,
) -> list[Json]:
    """Build the entries of one cell, without `id`, which the writer counts.

    Args:
        image_id: of the image in this file.
        cell: its mask.
        size_hw: of the image.
        cell_labels: the cell's set, as hpa_index.
        layout: `per-cell` for one entry with the whole set; `per-label` for one entry for
            each label, for tools that know only one.
        reviewed: the set was given for this cell, and not inherited from its image; an entry has
            the key `reviewed` only where this is so.
    """
    sets = [cell_labels] if layout == "per-cell" else [(label,) for label in cell_labels]
    mark = {"reviewed": True} if reviewed else {}
    return [
        {
            "image_id": image_id,
            "category_id": labels[0] + 1,
            "category_ids": [index + 1 for index in labels],
            "bbox": list(cell.bbox_xywh),
            "area": cell.area,
            "iscrowd": 0,
            **mark,
            "cell_id": cell.cell_id,
            "touches_border": cell.touches_border,
            "segmentation": {"size": list(size_hw), "counts": cell.counts},
        }
        for labels in sets
    ]
