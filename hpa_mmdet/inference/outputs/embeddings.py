"""What describes each cell, as Parquet and as AnnData, of models that give a vector for a cell.

N: called cells; D: numbers of an embedding, 1,536 for SubCell.
"""

from contextlib import ExitStack
from typing import Any

import numpy as np

from hpa_mmdet.inference.outputs.annotated import AnnDataOutput
from hpa_mmdet.inference.outputs.base import Images
from hpa_mmdet.inference.outputs.table import PROBABILITY_COLUMNS, TABLE_COLUMNS, table_rows
from hpa_mmdet.predictions.cells import ImagePrediction


class EmbeddingsOutput(AnnDataOutput):
    """embeddings.parquet, and embeddings.h5ad, for which all are held in memory, 4 D bytes each.

    Parquet: image_id, cell_id, embedding. AnnData: X (N, D) float32; `obs` has the columns of
    the table with p_<class>, so that cells can be coloured by class; `obsm["spatial"]` the
    centroids. Neither file has a row for an image without cells.
    """

    names = ("embeddings.parquet", "embeddings.h5ad")

    def finish(self, images: Images) -> list[str]:
        """Write both, reading the images once."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows: list[dict[str, Any]] = []
        vectors: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        with ExitStack() as stack:
            path = stack.enter_context(self.run.writing(self.names[0]))
            parquet: pq.ParquetWriter | None = None
            for stored in images():
                found = list(table_rows(stored.prediction, self.run.rules))
                described = self._vectors(stored.prediction)
                if described:
                    table = _table(pa, found, described)
                    if parquet is None:
                        parquet = stack.enter_context(pq.ParquetWriter(path, table.schema))
                    parquet.write_table(table)
                rows += found
                vectors += described
            if parquet is None:
                pq.write_table(_table(pa, [], []), path)
        self._write_anndata(rows, vectors)
        return [] if rows else [f"no cell is called: {' and '.join(self.names)} have no rows"]

    def _vectors(self, prediction: ImagePrediction) -> list[Any]:
        return [cell.embedding for _, cell in self.run.rules.cells(prediction)]

    def _write_anndata(self, rows: list[dict[str, Any]], vectors: list[Any]) -> None:
        import anndata
        import pandas as pd

        frame = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
        frame.index = pd.Index([f"{row['image_id']}_{row['cell_id']}" for row in rows], dtype=str)
        for column in PROBABILITY_COLUMNS:
            frame[column] = frame[column].astype(np.float32)
        values = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
        content = anndata.AnnData(
            X=values,
            obs=frame,
            var=pd.DataFrame(index=pd.Index([f"e{place}" for place in range(values.shape[1])])),
            obsm={"spatial": frame[["centroid_x", "centroid_y"]].to_numpy(np.float64)},
        )
        with self.run.writing(self.names[1]) as temporary:
            content.write_h5ad(temporary, compression="gzip")


def _table(pa: Any, rows: list[dict[str, Any]], vectors: list[Any]) -> Any:
    """Make the Arrow table of the cells of an image."""
    width = len(vectors[0]) if vectors else 0
    flat = np.concatenate(vectors) if vectors else np.zeros(0, np.float32)
    kind = pa.list_(pa.float32(), width) if width else pa.list_(pa.float32())
    embedding = (
        pa.FixedSizeListArray.from_arrays(pa.array(flat, pa.float32()), width)
        if width
        else pa.array([], kind)
    )
    return pa.table(
        {
            "image_id": pa.array([row["image_id"] for row in rows], pa.string()),
            "cell_id": pa.array([row["cell_id"] for row in rows], pa.int64()),
            "embedding": embedding,
        }
    )
