"""Whether a store still agrees with the images and the COCO JSON that it was cut from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.index import open_coco
from hpa_mmdet.coco.parse import CocoCell, CocoImage
from hpa_mmdet.crops.index import label_matrix
from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NAMES, NUM_LOCALIZATIONS


class StoreLabels(NamedTuple):
    """Labels for the crops and images of a store.

    Args:
        cells: (N, K) float32, as `CellIndex.localizations`.
        images: (M, K) float32, as `ImageIndex.image_labels`.
        reviewed: (N,) bool, as `CellIndex.reviewed`.
    """

    cells: NDArray[np.float32]
    images: NDArray[np.float32]
    reviewed: NDArray[np.bool_]


def check_sources(store: CropStore, images_root: Path | None = None) -> None:
    """Refuse a store whose image or mask files have changed since it was cut.

    Sizes and times are compared, nothing is read.

    Args:
        store: the store.
        images_root: the images' folder, where it was moved; None for the one that the store
            names.

    Raises:
        InputError: a file is gone, or has another size or time.
    """
    root = images_root or store.path / store.header["source"]
    for files, stamps in zip(store.images.files, store.images.stamps, strict=True):
        for name, stamp in zip(files, stamps, strict=True):
            path = root / name
            try:
                status = path.stat()
            except OSError as error:
                raise InputError(
                    path,
                    problem=f"{error.strerror}, but crops of {store.path} were cut from it",
                    remedy="give the folder of the images, or extract the crops again",
                ) from error
            if (status.st_size, status.st_mtime_ns) != stamp:
                raise InputError(
                    path,
                    problem=f"has changed since the crops of {store.path} were cut from it",
                    remedy="extract the crops again",
                )


def check_labels(store: CropStore, path: Path) -> None:
    """Refuse a store whose labels of cells or images differ from those of a COCO JSON.

    Raises:
        InputError: they differ, or as `read_store_labels`.
    """
    cells, images, _ = read_store_labels(store, path)
    for place, name in enumerate(store.images.hpa_ids):
        if not np.array_equal(images[place], store.images.image_labels[place]):
            raise _differ(store, path, f"image {name}", store.images.image_labels, images, place)
    rows = np.flatnonzero((cells != store.cells.localizations).any(axis=1))
    if rows.size:
        row = int(rows[0])
        name = store.images.hpa_ids[int(store.cells.images[row])]
        where = f"cell {store.cells.cell_ids[row]} of image {name}"
        raise _differ(store, path, where, store.cells.localizations, cells, row)


def read_store_labels(store: CropStore, path: Path) -> StoreLabels:
    """Read the labels that a COCO JSON gives to the cells and images of a store.

    With them, refined or reviewed labels are trained on without cutting the crops again.

    Raises:
        InputError: the JSON cannot be read, or lacks an image or a cell of the store.
    """
    wanted = {hpa_id: place for place, hpa_id in enumerate(store.images.hpa_ids)}
    cells = np.zeros((len(store), NUM_LOCALIZATIONS), np.float32)
    images = np.zeros((len(wanted), NUM_LOCALIZATIONS), np.float32)
    reviewed = np.zeros(len(store), np.bool_)
    for image in open_coco(path).images:
        place = wanted.pop(image.hpa_id, None)
        if place is not None:
            images[place, list(image.image_labels)] = 1.0
            rows = store.slice_of(place)
            chosen = _of_cells(image, store.cells.cell_ids[rows], path)
            cells[rows] = label_matrix(
                [cell.hpa_indices for cell in chosen], [cell.hpa_probs for cell in chosen]
            )
            reviewed[rows] = [cell.reviewed for cell in chosen]
    if wanted:
        raise InputError(
            path,
            problem=f"lacks {len(wanted)} images of {store.path}, such as {next(iter(wanted))}",
            remedy="give the JSON that the crops were cut from, or extract them again",
        )
    return StoreLabels(cells, images, reviewed)


def _of_cells(image: CocoImage, cell_ids: NDArray[np.int64], path: Path) -> list[CocoCell]:
    of_id = {cell.cell_id: cell for cell in image.cells}
    if lacking := [int(cell_id) for cell_id in cell_ids if int(cell_id) not in of_id]:
        raise InputError(
            path,
            problem=f"lacks cell {lacking[0]} of image {image.hpa_id}, of which there is a crop",
            remedy="give the JSON that the crops were cut from, or extract them again",
        )
    return [of_id[int(cell_id)] for cell_id in cell_ids]


def _differ(
    store: CropStore,
    path: Path,
    where: str,
    ours: NDArray[np.float32],
    theirs: NDArray[np.float32],
    row: int,
) -> InputError:
    return InputError(
        f"{store.path}, {where}",
        f"labels {_names(ours[row])}",
        f"{_names(theirs[row])} as in {path}",
        "take the labels from the JSON, or extract the crops again",
    )


def _names(values: NDArray[np.float32]) -> str:
    shown = [
        f"{NAMES[k]} {values[k]:g}" if values[k] < 1 else NAMES[k] for k in values.nonzero()[0]
    ]
    return ", ".join(shown) or "none"
