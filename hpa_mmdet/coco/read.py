"""Reading a COCO JSON back: images, each with its cells.

Files of other tools are read too where their categories name localizations: a missing
`category_ids` is the one `category_id`, a missing `cell_id` counts from 1, polygons and
uncompressed runs become compressed ones. Annotations of one cell (layout per-label) are
joined to one cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pycocotools import mask as coco_mask

from hpa_mmdet.coco.lines import load_json
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NAMES, localization_at


class CocoCell(NamedTuple):
    """One cell: `counts` is the compressed mask of the full image, `hpa_indices` its set.

    `hpa_probs` says how likely each of the set is, where the file has soft labels
    (tools/refine_labels.py --soft); else it is empty.
    """

    cell_id: int
    hpa_indices: tuple[int, ...]
    bbox_xywh: tuple[int, int, int, int]
    area: int
    counts: str
    touches_border: bool
    annotation_id: int
    hpa_probs: tuple[float, ...] = ()


class CocoImage(NamedTuple):
    """One image; `image_labels` are its weak labels, file names are below `images_root`."""

    image_id: int
    hpa_id: str
    file_name: str
    shape_hw: tuple[int, int]
    channel_files: Mapping[str, str]
    image_labels: tuple[int, ...]
    cells: tuple[CocoCell, ...]


@dataclass(frozen=True)
class CocoData:
    """A file: its images by their order in it; `images_root` None without pixels."""

    path: Path
    images: Sequence[CocoImage]
    images_root: Path | None


def read_coco(path: Path) -> CocoData:
    """Read a COCO JSON whole.

    Raises:
        InputError: no such file, not JSON, a key is missing, a category is no
            localization, or an annotation belongs to no image.
    """
    content = load_json(path)
    index_of = read_categories(content["categories"], path)
    of_image: dict[int, list[dict[str, Any]]] = {}
    images = content["images"]
    try:
        for image in images:
            of_image[image["id"]] = []
        for annotation in content["annotations"]:
            if annotation["image_id"] not in of_image:
                raise InputError(
                    f"{path}, annotation {annotation['id']}",
                    f"image_id {annotation['image_id']}",
                    "the id of an image",
                    "run tools/validate_coco.py on the file",
                )
            of_image[annotation["image_id"]].append(annotation)
    except (KeyError, TypeError) as error:
        raise _lacks(path, error) from error
    read = [read_image(image, of_image[image["id"]], index_of, path) for image in images]
    return CocoData(path, read, read_images_root(content.get("info"), path))


def read_images_root(info: object, path: Path) -> Path | None:
    """Give the images' folder that `info` names, relative to the file's own folder."""
    root = info.get("images_root") if isinstance(info, dict) else None
    return None if root is None else path.parent / str(root)


def read_categories(categories: Sequence[Mapping[str, Any]], path: Path) -> dict[int, int]:
    """Map category ids to hpa_index, by `hpa_index` or else by name.

    Raises:
        InputError: a category is none of the 19 localizations, or disagrees with its index.
    """
    index_of: dict[int, int] = {}
    for category in categories:
        name, category_id = category.get("name"), category.get("id")
        where = f"{path}, category {category_id}"
        if name not in NAMES or not isinstance(category_id, int):
            raise InputError(
                where,
                f"name {name!r}",
                "one of the 19 localizations",
                "map the names, as docs/reference/coco_format.md lists them",
            )
        hpa_index = category.get("hpa_index", NAMES.index(name))
        if localization_at(hpa_index, where).name != name:
            raise InputError(where, f"hpa_index {hpa_index}", f"that of {name}", "convert again")
        index_of[category_id] = hpa_index
    return index_of


def read_image(
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    index_of: Mapping[int, int],
    path: Path,
) -> CocoImage:
    """Read one image and its annotations; `index_of` maps category ids to hpa_index.

    Raises:
        InputError: a key is missing, or an annotation has an unknown category.
    """
    try:
        return _image(image, annotations, index_of, path)
    except (KeyError, TypeError) as error:
        raise _lacks(path, error) from error


def _lacks(path: Path, error: Exception) -> InputError:
    return InputError(
        path, f"an entry without {error}", "the keys of COCO", "run tools/validate_coco.py on it"
    )


def _image(
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    index_of: Mapping[int, int],
    path: Path,
) -> CocoImage:
    shape_hw = (int(image["height"]), int(image["width"]))
    cells: dict[int, CocoCell] = {}
    for position, annotation in enumerate(annotations, start=1):
        cell = _cell(annotation, position, index_of, shape_hw, path)
        if (other := cells.get(cell.cell_id)) is not None:
            merged = tuple(sorted({*other.hpa_indices, *cell.hpa_indices}))
            cell = other._replace(hpa_indices=merged, hpa_probs=())
        cells[cell.cell_id] = cell
    file_name = str(image["file_name"])
    return CocoImage(
        image_id=image["id"],
        hpa_id=str(image.get("hpa_id", Path(file_name).stem.removesuffix("_green"))),
        file_name=file_name,
        shape_hw=shape_hw,
        channel_files=dict(image.get("channel_files", {})),
        image_labels=tuple(image.get("labels", ())),
        cells=tuple(cells.values()),
    )


def _cell(
    annotation: Mapping[str, Any],
    position: int,
    index_of: Mapping[int, int],
    shape_hw: tuple[int, int],
    path: Path,
) -> CocoCell:
    category_ids = annotation.get("category_ids") or [annotation["category_id"]]
    if unknown := [each for each in category_ids if each not in index_of]:
        raise InputError(
            f"{path}, annotation {annotation['id']}",
            f"category {unknown[0]}",
            "an id listed in categories",
            "run tools/validate_coco.py on the file",
        )
    probs = annotation.get("category_probs", ())
    labels = sorted((index_of[each], place) for place, each in enumerate(category_ids))
    x, y, width, height = (round(number) for number in annotation["bbox"])
    return CocoCell(
        cell_id=annotation.get("cell_id", position),
        hpa_indices=tuple(hpa_index for hpa_index, _ in labels),
        bbox_xywh=(x, y, width, height),
        area=round(annotation["area"]),
        counts=_compressed(annotation["segmentation"], shape_hw),
        touches_border=bool(
            annotation.get(
                "touches_border",
                x <= 0 or y <= 0 or x + width >= shape_hw[1] or y + height >= shape_hw[0],
            )
        ),
        annotation_id=annotation["id"],
        hpa_probs=tuple(float(probs[place]) for _, place in labels) if probs else (),
    )


def _compressed(segmentation: object, shape_hw: tuple[int, int]) -> str:
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], str):
        return segmentation["counts"]
    rles = coco_mask.frPyObjects(segmentation, *shape_hw)
    return (coco_mask.merge(rles) if isinstance(rles, list) else rles)["counts"].decode()
