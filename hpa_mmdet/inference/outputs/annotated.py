"""Predictions as AnnData (.h5ad), for single-cell tools (extra `anndata`)."""

from typing import ClassVar

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.outputs.base import Images, Output
from hpa_mmdet.inference.outputs.table import PROBABILITY_COLUMNS, TABLE_COLUMNS, table_rows
from hpa_mmdet.localizations import NAMES


class AnnDataOutput(Output):
    """cells.h5ad: the called cells in one file; they are held in memory, some 300 bytes each.

    X (N, 19) is p(k | cell); `obs` has the other columns of the table, `obsm["spatial"]`
    the centroids, `uns["thresholds"]` the thresholds of the calls. N may be 0.
    """

    names: ClassVar[tuple[str, ...]] = ("cells.h5ad",)

    @classmethod
    def check(cls) -> None:
        """Refuse to begin without the package.

        Raises:
            InputError: it is not installed.
        """
        try:
            import anndata  # noqa: F401
        except ImportError as error:
            raise InputError(
                "--write anndata or embeddings",
                problem="the package anndata is not installed",
                remedy="pip install 'hpa-mmdet[anndata]'",
            ) from error

    def finish(self, images: Images) -> list[str]:
        """Write the file."""
        import anndata
        import pandas as pd

        rules = self.run.rules
        rows = [row for stored in images() for row in table_rows(stored.prediction, rules)]
        frame = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
        frame.index = pd.Index([f"{row['image_id']}_{row['cell_id']}" for row in rows], dtype=str)
        content = anndata.AnnData(
            X=frame[list(PROBABILITY_COLUMNS)].to_numpy(np.float32),
            obs=frame.drop(columns=list(PROBABILITY_COLUMNS)),
            var=pd.DataFrame(index=pd.Index(NAMES)),
            obsm={"spatial": frame[["centroid_x", "centroid_y"]].to_numpy(np.float64)},
            uns={"thresholds": np.asarray(rules.thresholds, np.float64)},
        )
        with self.run.writing(self.names[0]) as temporary:
            content.write_h5ad(temporary, compression="gzip")
        return [] if rows else ["no cell is called: cells.h5ad has no rows"]
