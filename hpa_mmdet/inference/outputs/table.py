"""Predictions as a table with one row per called cell, in CSV and Parquet.

K = 19. Columns: image_id; cell_id, the value in the label image; bbox_x, bbox_y,
bbox_width, bbox_height and area in pixels; centroid_x, centroid_y, (0, 0) being the middle
of the first pixel; touches_border; cell_score; p_<class> for each class; called, the names
of the classes at or above their thresholds, parted by bars.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.masks.runs import runs_from_counts

_ROWS_PER_GROUP = 2_000
_SHAPE_COLUMNS = (
    "bbox_x", "bbox_y", "bbox_width", "bbox_height", "area", "centroid_x", "centroid_y",
)  # fmt: skip
PROBABILITY_COLUMNS = tuple(
    "p_" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in NAMES
)
COLUMNS = (
    "image_id", "cell_id", *_SHAPE_COLUMNS, "touches_border", "cell_score",
    *PROBABILITY_COLUMNS, "called",
)  # fmt: skip


def write_table(folder: Path, predictions: Iterable[ImagePrediction], calls: Calls) -> int:
    """Write cells.csv and cells.parquet into a folder.

    Args:
        folder: where they go.
        predictions: read once, an image at a time.
        calls: which cells have a row, and which classes are called.

    Returns:
        How many cells were written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(pa)
    count = 0
    with ExitStack() as stack:
        table_path = stack.enter_context(atomic_path(folder / "cells.csv"))
        parquet_path = stack.enter_context(atomic_path(folder / "cells.parquet"))
        out = stack.enter_context(table_path.open("w", newline="", encoding="utf-8"))
        parquet = stack.enter_context(pq.ParquetWriter(parquet_path, schema))
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        waiting: list[dict[str, Any]] = []
        for prediction in predictions:
            for row in table_rows(prediction, calls):
                writer.writerow([_text(row[column]) for column in COLUMNS])
                waiting.append(row)
                count += 1
            if len(waiting) >= _ROWS_PER_GROUP:
                parquet.write_table(pa.Table.from_pylist(waiting, schema))
                waiting = []
        if waiting:
            parquet.write_table(pa.Table.from_pylist(waiting, schema))
    return count


def table_rows(prediction: ImagePrediction, calls: Calls) -> Iterator[dict[str, Any]]:
    """Give the rows of one image, keyed by `COLUMNS`."""
    for cell_id, cell in calls.cells(prediction):
        runs = runs_from_counts(cell.counts, (prediction.height, prediction.width))
        shape = (*cell.bbox_xywh, cell.area, *runs.centroid_xy)
        yield {
            "image_id": prediction.image_id,
            "cell_id": cell_id,
            **dict(zip(_SHAPE_COLUMNS, shape, strict=True)),
            "touches_border": runs.touches_border,
            "cell_score": cell.cell_score,
            **{
                column: round(float(score), 6)
                for column, score in zip(PROBABILITY_COLUMNS, cell.localization_scores, strict=True)
            },
            "called": "|".join(NAMES[k] for k in calls.classes(cell)),
        }


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6f}" if isinstance(value, float) else value


def _schema(pa: Any) -> Any:
    kinds = {
        "image_id": pa.string(),
        "called": pa.string(),
        "touches_border": pa.bool_(),
        "centroid_x": pa.float64(),
        "centroid_y": pa.float64(),
        "cell_score": pa.float32(),
        **dict.fromkeys(PROBABILITY_COLUMNS, pa.float32()),
    }
    return pa.schema([(column, kinds.get(column, pa.int64())) for column in COLUMNS])
