"""The truth that predictions are scored against, read from our COCO JSON.

N: cells of one image; K = 19 localizations.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.rle import measure_counts

Rle = dict[str, Any]


@dataclass
class TruthImage:
    """One image's cells.

    Args:
        image_id: the HPA id, as in a submission.
        coco_id: the image's id in the JSON.
        width: in pixels.
        height: in pixels.
        rles: N COCO compressed masks of the whole image.
        localizations: (N, K) bool, the set of each cell.
        cell_ids: N values of the label image, 0 where the JSON has none.
        image_labels: (K,) bool, the weak labels of the image; where the JSON has none, the
            union of its cells' sets.
    """

    image_id: str
    coco_id: int
    width: int
    height: int
    rles: list[Rle]
    localizations: NDArray[np.bool_]
    cell_ids: list[int]
    image_labels: NDArray[np.bool_]


def read_truth(path: Path) -> dict[str, TruthImage]:
    """Read a COCO JSON of convert_coco, either layout.

    Annotations of one image with the same mask are one cell (the layout of one annotation
    per cell and label): their sets are joined.

    Returns:
        Images by HPA id, in the file's order.

    Raises:
        InputError: the file cannot be read, is not COCO JSON, names one image twice, an
            annotation refers to an unknown image or category, or a mask is damaged.
    """
    content = _load(path)
    try:
        classes = _classes_by_category(content["categories"], path)
        cells: dict[int, dict[str, Any]] = {int(image["id"]): {} for image in content["images"]}
        for annotation in content["annotations"]:
            _add_annotation(cells, annotation, classes, path)
        truth: dict[str, TruthImage] = {}
        for image in content["images"]:
            one = _truth_image(image, cells[int(image["id"])])
            _check_masks(one, path)
            if one.image_id in truth:
                raise InputError(path, f"image {one.image_id} twice", "once", "merge the entries")
            truth[one.image_id] = one
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            path,
            f"an entry that does not fit ({type(error).__name__}: {error})",
            "COCO JSON with images, annotations, categories",
            "make it with tools/convert_coco.py",
        ) from error
    if not truth:
        raise InputError(path, "no images", "at least one", "check what was converted")
    return truth


def _load(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, error, "a COCO JSON file", "check the path") from error
    if not isinstance(content, dict):
        raise InputError(path, type(content).__name__, "a COCO JSON object", "check the path")
    return content


def _classes_by_category(categories: list[Mapping[str, Any]], path: Path) -> dict[int, int]:
    classes = {int(each["id"]): int(each.get("hpa_index", each["id"] - 1)) for each in categories}
    for category_id, hpa_index in classes.items():
        if not 0 <= hpa_index < NUM_LOCALIZATIONS:
            raise InputError(
                path,
                f"category {category_id} with hpa_index {hpa_index}",
                f"0 to {NUM_LOCALIZATIONS - 1}",
                "make the file with tools/convert_coco.py",
            )
    return classes


def _add_annotation(
    cells: dict[int, dict[str, Any]],
    annotation: Mapping[str, Any],
    classes: Mapping[int, int],
    path: Path,
) -> None:
    image_id = int(annotation["image_id"])
    if image_id not in cells:
        raise InputError(
            path, f"an annotation of image {image_id}", "an image of the file", "convert again"
        )
    category_ids = annotation.get("category_ids", [annotation.get("category_id")])
    unknown = [each for each in category_ids if each not in classes]
    if unknown:
        raise InputError(path, f"category {unknown[0]}", "one of the file's", "convert again")
    counts = annotation["segmentation"]["counts"]
    size = annotation["segmentation"]["size"]
    cell = cells[image_id].setdefault(
        counts, {"size": size, "classes": set(), "cell_id": int(annotation.get("cell_id", 0))}
    )
    cell["classes"].update(classes[each] for each in category_ids)


def _truth_image(image: Mapping[str, Any], cells: Mapping[str, Mapping[str, Any]]) -> TruthImage:
    localizations = np.zeros((len(cells), NUM_LOCALIZATIONS), bool)
    for row, cell in enumerate(cells.values()):
        localizations[row, list(cell["classes"])] = True
    image_labels: NDArray[np.bool_] = np.asarray(localizations.any(axis=0))
    if image.get("labels"):
        image_labels = np.zeros(NUM_LOCALIZATIONS, bool)
        image_labels[list(image["labels"])] = True
    name = str(image["file_name"]) if "hpa_id" not in image else ""
    return TruthImage(
        image_id=str(image.get("hpa_id") or Path(name).stem.removesuffix("_green")),
        coco_id=int(image["id"]),
        width=int(image["width"]),
        height=int(image["height"]),
        rles=[
            {"size": list(cell["size"]), "counts": counts.encode("ascii")}
            for counts, cell in cells.items()
        ],
        localizations=localizations,
        cell_ids=[cell["cell_id"] for cell in cells.values()],
        image_labels=image_labels,
    )


def _check_masks(image: TruthImage, path: Path) -> None:
    """Refuse damaged masks: pycocotools would read past their end."""
    sizes = measure_counts([rle["counts"] for rle in image.rles])
    size = [image.height, image.width]
    whole = sizes is not None and bool(np.all(sizes.pixels == image.height * image.width))
    if not whole or any(rle["size"] != size for rle in image.rles):
        raise InputError(
            f"{path}, image {image.image_id}",
            "a mask whose run lengths do not fill the image",
            f"compressed RLE of {image.width}x{image.height} pixels",
            "make the file with tools/convert_coco.py",
        )
