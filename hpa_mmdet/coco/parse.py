"""The one parser of COCO entries: what every tool takes an image, a cell and a class to be.

Classes go by their names, or else by `hpa_index`; never by the number of the category.
Annotations of one cell are joined: those of an image with one `cell_id`, and of those
without, the ones that share their mask. Cells without a `cell_id` are numbered behind the
others. Masks may be compressed or uncompressed run lengths or polygons; their size and the
sum of their runs are always checked. A missing `bbox`, `area` or `touches_border` is that
of the mask. Whatever else does not fit is an `InputError` with the entry's id.

Entries come from a file read whole (`hpa_mmdet.coco.read`), image by image
(`hpa_mmdet.coco.index`) or as lines (`hpa_mmdet.coco.lines`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

from hpa_mmdet.coco.categories import read_categories
from hpa_mmdet.coco.fields import (
    HIGHEST_COCO_ID,
    take_area,
    take_box,
    take_flag,
    take_hpa_id,
    take_list,
    take_probabilities,
    take_text,
    take_whole,
)
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import as_object, check_below, shorten
from hpa_mmdet.io.label_sets import LARGEST_CELL_ID
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.border import boxes_touch_border
from hpa_mmdet.masks.foreign import compress_segmentation
from hpa_mmdet.masks.rle import MOST_PIXELS_OF_RUNS, check_counts
from hpa_mmdet.masks.runs import MaskRuns, masks_from_counts

_VALIDATE = "run tools/validate_coco.py on the file"
_SIDES = ("height", "width")
_IMAGES_FOLDER = Path("the images' folder")


class CocoCell(NamedTuple):
    """One cell: `counts` is the compressed mask of the full image, `hpa_indices` its set.

    `hpa_probs` says how likely each of the set is, where the file has soft labels
    (tools/refine_labels.py --soft); else it is empty. `reviewed` says that a person looked at
    the cell, so that its set is known and not its image's.
    """

    cell_id: int
    hpa_indices: tuple[int, ...]
    bbox_xywh: tuple[int, int, int, int]
    area: int
    counts: str
    touches_border: bool
    annotation_id: int
    hpa_probs: tuple[float, ...] = ()
    reviewed: bool = False


class CocoImage(NamedTuple):
    """One image; `image_labels` are its weak labels, file names are below `images_root`."""

    image_id: int
    hpa_id: str
    file_name: str
    shape_hw: tuple[int, int]
    channel_files: Mapping[str, str]
    image_labels: tuple[int, ...]
    cells: tuple[CocoCell, ...]


class CocoParser:
    """Reads the entries of one file.

    Args:
        path: the file, for errors.
        categories: its entries of `categories`.

    Raises:
        InputError: as `read_categories`.
    """

    def __init__(self, path: Path, categories: Sequence[object]) -> None:
        self.path = path
        self.hpa_index_of = read_categories(categories, path)
        self._name = str(path)

    def read_image(self, entry: object, place: int) -> CocoImage:
        """Read one entry of `images`, without cells.

        Args:
            entry: as the JSON holds it.
            place: among the images, for errors where it has no id.

        Raises:
            InputError: a value is missing or does not fit.
        """
        image = as_object(entry, f"{self._name}, image at place {place}")
        image_id = take_whole(
            image, "id", f"{self._name}, image at place {place}", 0, HIGHEST_COCO_ID
        )
        where = f"{self._name}, image {image_id}"
        height, width = (take_whole(image, key, where, 1, MOST_PIXELS_OF_RUNS) for key in _SIDES)
        if height * width > MOST_PIXELS_OF_RUNS:
            raise InputError(
                where, f"{width}x{height} pixels", f"up to {MOST_PIXELS_OF_RUNS}", _VALIDATE
            )
        file_name = take_text(image, "file_name", where)
        files = image.get("channel_files")
        files = {} if files is None else as_object(files, where)
        for name in (file_name, *files.values()):
            check_below(_IMAGES_FOLDER, name, where)
        labels = take_list(image, "labels", where)
        if not all(type(label) is int and 0 <= label < NUM_LOCALIZATIONS for label in labels):
            raise InputError(
                where, f"labels {shorten(labels)}", "hpa_index values, 0 to 18", "correct them"
            )
        return CocoImage(
            image_id=image_id,
            hpa_id=take_hpa_id(image, file_name, where),
            file_name=file_name,
            shape_hw=(height, width),
            channel_files=dict(files),
            image_labels=tuple(sorted(set(labels))),
            cells=(),
        )

    def image_id_of(self, entry: object, place: int, images: Mapping[int, Any]) -> int:
        """Give the id of an annotation's image.

        Args:
            entry: as the JSON holds it.
            place: among the annotations, for errors where it has no id.
            images: by their id.

        Raises:
            InputError: the annotation is no object, or belongs to none of them.
        """
        annotation = as_object(entry, f"{self._name}, annotation at place {place}")
        number = annotation.get("id", f"at place {place}")
        where = f"{self._name}, annotation {shorten(number)}"
        image_id = take_whole(annotation, "image_id", where, 0, HIGHEST_COCO_ID)
        if image_id not in images:
            raise InputError(where, f"image_id {image_id}", "the id of an image", _VALIDATE)
        return image_id

    def id_twice(self, image_id: int) -> InputError:
        """Give the error of a second image of one id."""
        return InputError(
            f"{self._name}, image {image_id}", "its id twice", "once", "number the images anew"
        )

    def read_cells(
        self, shape_hw: tuple[int, int], images: Sequence[Sequence[Mapping[str, Any]]]
    ) -> list[tuple[CocoCell, ...]]:
        """Read the annotations of images of one size; see the module for what is one cell.

        The masks of all are checked together: for small masks that takes a third of the time.

        Args:
            shape_hw: height and width of the images.
            images: the entries of each, in their order.

        Raises:
            InputError: a value is missing or does not fit, a mask is damaged, has no pixels
                or is of another size, or two masks have one `cell_id`.
        """
        annotations = [annotation for image in images for annotation in image]
        wheres = [_Where(self._name, annotation) for annotation in annotations]
        texts = [
            compress_segmentation(annotation.get("segmentation"), shape_hw, where)
            for annotation, where in zip(annotations, wheres, strict=True)
        ]
        areas = check_counts(texts, shape_hw, wheres.__getitem__).tolist()
        if 0 in areas:
            where = wheres[areas.index(0)]
            raise InputError(where, problem="its mask has no pixels", remedy="leave it out")
        masks: Sequence[MaskRuns | None] = [None] * len(texts)
        if any(annotation.get("bbox") is None for annotation in annotations):
            masks = masks_from_counts(texts, shape_hw)
        cells = (
            (self._cell(annotation, where, text, area, mask, shape_hw), where)
            for annotation, where, text, area, mask in zip(
                annotations, wheres, texts, areas, masks, strict=True
            )
        )
        return [_numbered(_joined(islice(cells, len(image))), self._name) for image in images]

    def read_classes(self, annotation: Mapping[str, Any]) -> dict[int, float]:
        """Give the set of an annotation: rising hpa_index, each with its probability, or 1.

        Raises:
            InputError: there is none, a category is not the file's, or probabilities do not
                fit.
        """
        where = _Where(self._name, annotation)
        category_ids = take_list(annotation, "category_ids", where)
        if not category_ids:
            category_ids = [take_whole(annotation, "category_id", where, 0, HIGHEST_COCO_ID)]
        probs = take_probabilities(annotation, len(category_ids), where)
        prob_of: dict[int, float] = {}
        for place, category_id in enumerate(category_ids):
            if type(category_id) is not int or category_id not in self.hpa_index_of:
                raise InputError(
                    where,
                    f"category {shorten(category_id)}",
                    "an id listed in categories",
                    _VALIDATE,
                )
            prob_of.setdefault(self.hpa_index_of[category_id], probs[place] if probs else 1.0)
        return dict(sorted(prob_of.items())) if len(prob_of) > 1 else prob_of

    def _cell(
        self,
        annotation: Mapping[str, Any],
        where: "_Where",
        text: bytes,
        area: int,
        mask: MaskRuns | None,
        shape_hw: tuple[int, int],
    ) -> CocoCell:
        """Read one annotation; `cell_id` is 0 where it has none."""
        prob_of = self.read_classes(annotation)
        hpa_indices = tuple(prob_of)
        box, stated_area = take_box(annotation, where), take_area(annotation, where)
        touches = annotation.get("touches_border")
        if box is None:
            assert mask is not None
            box = mask.bbox_xywh
        if not isinstance(touches, bool):
            touches = boxes_touch_border(box, shape_hw)
        cell_id = 0
        if annotation.get("cell_id") is not None:
            cell_id = take_whole(annotation, "cell_id", where, 1, LARGEST_CELL_ID)
        return CocoCell(
            cell_id=cell_id,
            hpa_indices=hpa_indices,
            bbox_xywh=box,
            area=area if stated_area is None else stated_area,
            counts=text.decode("ascii"),
            touches_border=touches,
            annotation_id=take_whole(annotation, "id", where, 0, HIGHEST_COCO_ID),
            hpa_probs=tuple(prob_of.values()) if annotation.get("category_probs") else (),
            reviewed=take_flag(annotation, "reviewed", where),
        )


class _Where:
    """An annotation as an error names it; put into words only where there is an error."""

    __slots__ = ("annotation", "file")

    def __init__(self, file: str, annotation: Mapping[str, Any]) -> None:
        self.file, self.annotation = file, annotation

    def __str__(self) -> str:
        return f"{self.file}, annotation {shorten(self.annotation.get('id'))}"


def _joined(cells: Iterable[tuple[CocoCell, _Where]]) -> Collection[CocoCell]:
    """Join the annotations of one image that are of one cell."""
    joined: dict[object, CocoCell] = {}
    for cell, where in cells:
        key = cell.cell_id or cell.counts
        other = joined.get(key)
        joined[key] = cell if other is None else _join(other, cell, where)
    return joined.values()


def _join(cell: CocoCell, more: CocoCell, where: _Where) -> CocoCell:
    """Add the set of another annotation of the same cell."""
    if cell.counts != more.counts:
        raise InputError(
            where,
            problem=f"its cell_id {more.cell_id} is that of annotation {cell.annotation_id}, "
            "which has another mask",
            remedy="give each cell of an image its own cell_id, or leave cell_id out",
        )
    merged = tuple(sorted({*cell.hpa_indices, *more.hpa_indices}))
    reviewed = cell.reviewed or more.reviewed
    return cell._replace(hpa_indices=merged, hpa_probs=(), reviewed=reviewed)


def _numbered(cells: Collection[CocoCell], where: str) -> tuple[CocoCell, ...]:
    """Number the cells that have no id behind those that have one."""
    if all(cell.cell_id for cell in cells):
        return tuple(cells)
    highest = max(cell.cell_id for cell in cells)
    if highest + len(cells) > LARGEST_CELL_ID:
        raise InputError(
            where, problem=f"no cell_id is left above {highest}", remedy="number the cells anew"
        )
    numbers = count(highest + 1)
    return tuple(cell if cell.cell_id else cell._replace(cell_id=next(numbers)) for cell in cells)
