"""Predictions as AnnData (.h5ad), for single-cell tools (extra `anndata`)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.inference.outputs.table import PROBABILITY_COLUMNS, table_rows
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import NAMES


def require_anndata() -> Any:
    """Import the package, or say how to get it.

    Raises:
        InputError: it is not installed.
    """
    try:
        import anndata
    except ImportError as error:
        raise InputError(
            "--write anndata", "no package anndata", "the extra `anndata`",
            "pip install 'hpa-mmdet[anndata]'",
        ) from error  # fmt: skip
    return anndata


def write_anndata(path: Path, predictions: Iterable[ImagePrediction], calls: Calls) -> int:
    """Write the called cells into one file; they are held in memory, some 300 bytes each.

    X (N, 19) is p(k | cell); `obs` has the other columns of the table, `obsm["spatial"]`
    the centroids, `uns["thresholds"]` the thresholds of the calls.

    Returns:
        How many cells were written.

    Raises:
        InputError: the package anndata is not installed.
    """
    anndata = require_anndata()
    import pandas as pd

    rows = [row for each in predictions for row in table_rows(each, calls)]
    frame = pd.DataFrame(rows)
    if not rows:
        raise InputError(
            path, "no cells", "at least one for AnnData", "leave anndata out of --write"
        )
    frame.index = pd.Index([f"{row['image_id']}_{row['cell_id']}" for row in rows])
    content = anndata.AnnData(
        X=frame[list(PROBABILITY_COLUMNS)].to_numpy(np.float32),
        obs=frame.drop(columns=list(PROBABILITY_COLUMNS)),
        var=pd.DataFrame(index=pd.Index(NAMES)),
        obsm={"spatial": frame[["centroid_x", "centroid_y"]].to_numpy(np.float64)},
        uns={"thresholds": np.asarray(calls.thresholds, np.float64)},
    )
    with atomic_path(path) as temporary:
        content.write_h5ad(temporary, compression="gzip")
    return len(rows)
