"""What is done to the masks of found cells, by name."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cell_growth import grow_found_cells
from hpa_mmdet.inference.mask_cleaning import separate_cells, suppress_contained
from hpa_mmdet.predictions.cells import CellPrediction

CLEANINGS = ("none", "suppress", "separate", "grow")
"""Nothing; cells found twice go; and neighbours part their pixels, each cell in one piece; or
each is grown to the edges that the image shows."""
DISJOINT = ("separate", "grow")
"""Those after which no pixel has two cells."""
DEFAULT_CLEANING = "grow"


def check_cleaning(name: str) -> str:
    """Refuse an unknown cleaning.

    Raises:
        InputError: it has another name.
    """
    if name not in CLEANINGS:
        raise InputError("--clean", name, ", ".join(CLEANINGS), "choose one of them")
    return name


def clean_cells(
    cells: Sequence[CellPrediction],
    cleaning: str,
    planes: Callable[[], Mapping[str, NDArray[np.integer]]] = dict,
) -> list[CellPrediction]:
    """Clean the found cells of one image.

    Args:
        cells: by falling p(cell).
        cleaning: out of `CLEANINGS`.
        planes: gives the image's channels (H, W) by name, for "grow".

    Returns:
        Those that are left, in their order; their scores stay as they are.
    """
    if cleaning == "none":
        return list(cells)
    kept = suppress_contained(cells)
    if cleaning == "suppress":
        return kept
    return separate_cells(kept) if cleaning == "separate" else grow_found_cells(kept, planes())
