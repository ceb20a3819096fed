"""Predictions as a table with one row per called cell, in CSV and Parquet.

K = 19. Columns: image_id; cell_id, the value in the label image; bbox_x, bbox_y,
bbox_width, bbox_height and area in pixels; centroid_x, centroid_y, (0, 0) being the middle
of the first pixel; touches_border; cell_score; p_<class> for each class; called, the names
of the classes at or above their thresholds, separated by bars.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from hpa_mmdet.inference.outputs.base import Images, Output
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import ImagePrediction

_ROWS_PER_GROUP = 2_000
_SHAPE_COLUMNS = (
    "bbox_x", "bbox_y", "bbox_width", "bbox_height", "area", "centroid_x", "centroid_y",
)  # fmt: skip
PROBABILITY_COLUMNS = tuple(
    "p_" + re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in NAMES
)
TABLE_COLUMNS = (
    "image_id", "cell_id", *_SHAPE_COLUMNS, "touches_border", "cell_score",
    *PROBABILITY_COLUMNS, "called",
)  # fmt: skip


class TableOutput(Output):
    """cells.csv and cells.parquet; see the module."""

    names = ("cells.csv", "cells.parquet")

    def finish(self, images: Images) -> list[str]:
        """Write both, reading the images once."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = _schema(pa)
        with ExitStack() as stack:
            table_path, parquet_path = (
                stack.enter_context(self.run.writing(name)) for name in self.names
            )
            out = stack.enter_context(table_path.open("w", newline="", encoding="utf-8"))
            parquet = stack.enter_context(pq.ParquetWriter(parquet_path, schema))
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(TABLE_COLUMNS)
            waiting: list[dict[str, Any]] = []
            for stored in images():
                for row in table_rows(stored.prediction, self.run.rules):
                    writer.writerow([_text(row[column]) for column in TABLE_COLUMNS])
                    waiting.append(row)
                if len(waiting) >= _ROWS_PER_GROUP:
                    parquet.write_table(pa.Table.from_pylist(waiting, schema))
                    waiting = []
            if waiting:
                parquet.write_table(pa.Table.from_pylist(waiting, schema))
        return []


def table_rows(prediction: ImagePrediction, rules: CallRules) -> Iterator[dict[str, Any]]:
    """Give the rows of one image, keyed by `TABLE_COLUMNS`."""
    for cell_id, cell in rules.cells(prediction):
        shape = (*cell.bbox_xywh, cell.area, *cell.runs.centroid_xy)
        yield {
            "image_id": prediction.image_id,
            "cell_id": cell_id,
            **dict(zip(_SHAPE_COLUMNS, shape, strict=True)),
            "touches_border": cell.runs.touches_border,
            "cell_score": cell.cell_score,
            **{
                column: round(float(score), 6)
                for column, score in zip(PROBABILITY_COLUMNS, cell.localization_scores, strict=True)
            },
            "called": "|".join(NAMES[k] for k in rules.classes(cell)),
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
    return pa.schema([(column, kinds.get(column, pa.int64())) for column in TABLE_COLUMNS])
