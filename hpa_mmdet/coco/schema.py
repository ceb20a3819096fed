"""The COCO JSON of this project: its keys, built in one place.

One annotation per cell. `category_id` is the first of the cell's set, for readers that
know a single label; `category_ids` is the whole set. Both are `hpa_index + 1`, because
common readers take category 0 for background.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpa_mmdet import __version__
from hpa_mmdet.coco.runs import EncodedCell
from hpa_mmdet.localizations import LOCALIZATIONS

Json = dict[str, Any]


def build_info(images_root: Path | None, out: Path) -> Json:
    """Describe the file; `images_root` is written relative to the folder of `out`.

    Thus a dataset that is moved with its images stays readable.
    """
    root = None
    if images_root is not None:
        root = Path(os.path.relpath(images_root.resolve(), out.parent.resolve())).as_posix()
    return {
        "description": "Cells with Human Protein Atlas localizations, made by hpa-mmdet",
        "version": __version__,
        "images_root": root,
    }


def build_categories() -> list[Json]:
    """List the 19 localizations as categories 1 to 19."""
    return [
        {
            "id": each.hpa_index + 1,
            "name": each.name,
            "hpa_index": each.hpa_index,
            "supercategory": "localization",
        }
        for each in LOCALIZATIONS
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


def build_annotation(
    annotation_id: int,
    image_id: int,
    cell: EncodedCell,
    size_hw: tuple[int, int],
    cell_labels: Sequence[int],
) -> Json:
    """Build an entry of `annotations`; `cell_labels` is the cell's set, as hpa_index."""
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": cell_labels[0] + 1,
        "category_ids": [index + 1 for index in cell_labels],
        "bbox": list(cell.bbox_xywh),
        "area": cell.area,
        "iscrowd": 0,
        "cell_id": cell.cell_id,
        "touches_border": cell.touches_border,
        "segmentation": {"size": list(size_hw), "counts": cell.counts},
    }
