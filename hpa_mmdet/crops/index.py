"""The two tables of a store: its cells and its images, as Parquet and as arrays.

N: crops; M: images; K = 19.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS

_SETS = pa.list_(pa.int8())
CELL_SCHEMA = pa.schema(
    [
        ("image", pa.int32()),  # its row among the images
        ("ID", pa.string()),
        ("cell_id", pa.int64()),
        ("x", pa.int32()),
        ("y", pa.int32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("area", pa.int64()),
        ("labels", _SETS),
        ("label_probs", pa.list_(pa.float32())),
        ("reviewed", pa.bool_()),
        ("border", pa.bool_()),
        ("clipped", pa.bool_()),
        ("group", pa.string()),
    ]
)
IMAGE_SCHEMA = pa.schema(
    [
        ("ID", pa.string()),
        ("image_id", pa.int64()),
        ("labels", _SETS),
        ("group", pa.string()),
        ("first_crop", pa.int64()),
        ("crops", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("files", pa.list_(pa.string())),
        ("file_sizes", pa.list_(pa.int64())),
        ("file_times", pa.list_(pa.int64())),
    ]
)


class CellIndex(NamedTuple):
    """What a store knows of its crops.

    Args:
        images: (N,) the place of each crop's image.
        cell_ids: (N,) its value in the label image.
        boxes_xywh: (N, 4) of the cleaned mask, in pixels of the image.
        areas: (N,) pixels of the cleaned mask.
        localizations: (N, K) float32, 1 for the labels of a cell, or how likely each is
            where the JSON has soft labels.
        reviewed: (N,) bool, whether a person looked at the cell, so that its labels are its own.
        at_border: (N,) bool, whether the image's border cuts the cell.
        clipped: (N,) bool, whether the crop is smaller than the cell.
    """

    images: NDArray[np.int32]
    cell_ids: NDArray[np.int64]
    boxes_xywh: NDArray[np.int32]
    areas: NDArray[np.int64]
    localizations: NDArray[np.float32]
    reviewed: NDArray[np.bool_]
    at_border: NDArray[np.bool_]
    clipped: NDArray[np.bool_]


class ImageIndex(NamedTuple):
    """What a store knows of its images.

    Args:
        hpa_ids: M ids.
        image_ids: (M,) ids in the COCO JSON; 1 to M where there is none.
        image_labels: (M, K) float32, 1 for each weak label.
        groups: M groups, such as antibodies, for splits; the id where none was given.
        first_crops: (M,) place of each image's first crop.
        crop_counts: (M,) how many it has; 0 where all of its cells were dropped.
        shapes_hw: (M, 2) in pixels.
        files: the channel and mask files of each image, relative to the source's folder.
        stamps: size in bytes and time in ns of each of them.
    """

    hpa_ids: list[str]
    image_ids: NDArray[np.int64]
    image_labels: NDArray[np.float32]
    groups: list[str]
    first_crops: NDArray[np.int64]
    crop_counts: NDArray[np.int32]
    shapes_hw: NDArray[np.int32]
    files: list[list[str]]
    stamps: list[list[tuple[int, int]]]


def read_cell_index(path: Path) -> CellIndex:
    """Read `cells.parquet`.

    Raises:
        InputError: it cannot be read, or has other columns.
    """
    table = _read(path, CELL_SCHEMA)
    boxes = np.stack([_numbers(table[name]) for name in ("x", "y", "width", "height")], axis=1)
    return CellIndex(
        _numbers(table["image"]),
        _numbers(table["cell_id"]),
        boxes.astype(np.int32),
        _numbers(table["area"]),
        label_matrix(table["labels"].to_pylist(), table["label_probs"].to_pylist()),
        _numbers(table["reviewed"]),
        _numbers(table["border"]),
        _numbers(table["clipped"]),
    )


def read_image_index(path: Path) -> ImageIndex:
    """Read `images.parquet`.

    Raises:
        InputError: it cannot be read, or has other columns.
    """
    table = _read(path, IMAGE_SCHEMA)
    sizes, times = table["file_sizes"].to_pylist(), table["file_times"].to_pylist()
    return ImageIndex(
        table["ID"].to_pylist(),
        _numbers(table["image_id"]),
        label_matrix(table["labels"].to_pylist()),
        table["group"].to_pylist(),
        _numbers(table["first_crop"]),
        _numbers(table["crops"]),
        np.stack([_numbers(table[name]) for name in ("height", "width")], axis=1),
        table["files"].to_pylist(),
        [list(zip(*pair, strict=True)) for pair in zip(sizes, times, strict=True)],
    )


def label_matrix(
    sets: Sequence[Sequence[int]], probs: Sequence[Sequence[float]] | None = None
) -> NDArray[np.float32]:
    """Turn n label sets into (n, K) float32; `probs` are the values, 1 where they are empty."""
    values = np.zeros((len(sets), NUM_LOCALIZATIONS), np.float32)
    soft: Sequence[Sequence[float]] = [()] * len(sets) if probs is None else probs
    for row, (labels, of_labels) in enumerate(zip(sets, soft, strict=True)):
        values[row, list(labels)] = of_labels or 1.0
    return values


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            path, problem=f"cannot be read ({reason})", remedy="extract the crops again"
        ) from error
    if not table.schema.equals(schema):
        raise InputError(
            path,
            f"columns {', '.join(table.schema.names)}",
            f"{', '.join(schema.names)} of their types",
            "extract the crops again",
        )
    return table


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    return np.asarray(column.to_numpy())
