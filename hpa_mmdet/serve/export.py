"""Downloads: the cells that a page shows, written by the code that tools/infer.py uses."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.outputs import write_output
from hpa_mmdet.masks.runs import runs_from_counts
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction
from hpa_mmdet.serve.limits import Refusal


class ExportKind(NamedTuple):
    """One kind of download.

    Args:
        name: under which it is saved.
        media_type: for the browser.
        written: what the output of tools/infer.py calls the file; {} is the image's id.
    """

    name: str
    media_type: str
    written: str


EXPORTS = {
    "table": ExportKind("cells.csv", "text/csv", "cells.csv"),
    "coco": ExportKind("cells.json", "application/json", "cells.json"),
    "labels": ExportKind("labels.tif", "image/tiff", "labels/{}.tif"),
}


def export_cells(kind: str, content: dict[str, Any], thresholds: tuple[float, ...]) -> bytes:
    """Write the cells of one image into a file of that kind.

    Args:
        kind: a name of `EXPORTS`.
        content: a checked `ExportRequest`.
        thresholds: (19,) p(k | cell) from which on a class is called.

    Returns:
        The bytes of the file.

    Raises:
        Refusal: a cell comes twice, or has no mask, or a damaged one or one of another size.
    """
    shape_hw = (content["height"], content["width"])
    ids = [cell["cell_id"] for cell in content["cells"]]
    if len(set(ids)) < len(ids):
        raise Refusal(422, "cell_twice", "Two cells have the same cell_id. Give each its own.")
    cells = tuple(_cell(cell, shape_hw) for cell in content["cells"])
    image = ImagePrediction(content["image_id"], shape_hw[1], shape_hw[0], cells)
    with tempfile.TemporaryDirectory(prefix="hpa-mmdet-export-") as folder:
        write_output(kind, Path(folder), [image], CallRules(thresholds, 0.0))
        return (Path(folder) / EXPORTS[kind].written.format(image.image_id)).read_bytes()


def _cell(cell: dict[str, Any], shape_hw: tuple[int, int]) -> CellPrediction:
    mask = cell["segmentation"]
    where = f"cell {cell['cell_id']}"
    if mask is None or tuple(mask["size"]) != shape_hw:
        raise Refusal(
            422,
            "wrong_mask",
            f"The segmentation of {where} is missing or has not the image's height and width. "
            "Ask for the prediction with masks=rle.",
        )
    try:
        runs = runs_from_counts(mask["counts"], shape_hw)
    except InputError:
        runs = None
    if runs is None or not runs.area:
        raise Refusal(422, "wrong_mask", f"The mask of {where} is damaged or has no pixel.")
    scores = np.array(cell["scores"], np.float32)
    return CellPrediction.of_runs(runs, cell["cell_score"], scores, cell["cell_id"])
