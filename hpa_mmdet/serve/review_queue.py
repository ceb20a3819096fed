"""Which cell is looked at next, and how far a review is."""

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.decisions import BAD_MASK, CellKey, Decision, settle_cell
from hpa_mmdet.io.label_sets import is_cell_id
from hpa_mmdet.io.label_tables import ID_COLUMNS
from hpa_mmdet.io.table_rows import read_rows
from hpa_mmdet.serve.review_cells import ReviewCell
from hpa_mmdet.serve.schema import ReviewProgress

ORDERS = ("least_sure", "class", "random", "file")


def read_queue_file(path: Path, known: Mapping[CellKey, ReviewCell]) -> list[CellKey]:
    """Read the cells to look at, in their order, from a table with columns ID,cell_id.

    Raises:
        InputError: the table cannot be read, or names a cell that was not predicted.
    """
    keys = []
    for where, (image_id, cell_text), problem in read_rows(path, ID_COLUMNS, ("cell_id",)):
        if problem is not None:
            raise problem
        key = (image_id, int(cell_text) if is_cell_id(cell_text) else 0)
        if key not in known:
            raise InputError(
                where,
                problem=f"there is no cell {cell_text} of {image_id} among the predictions",
                remedy="make the queue from the same predictions",
            )
        keys.append(key)
    return keys


def order_cells(
    cells: Iterable[ReviewCell],
    order: str,
    class_index: int | None,
    seed: int,
    queue_file: Sequence[CellKey],
) -> list[ReviewCell]:
    """Put cells into the order in which they are looked at.

    Args:
        cells: any.
        order: "least_sure", most doubt first; "class", the most certainly of `class_index`
            first; "random"; or "file", as `queue_file` lists them, and only those.
        class_index: keep only cells that are called so; None keeps all.
        seed: of the random order.
        queue_file: image and cell ids.
    """
    kept = [cell for cell in cells if class_index is None or class_index in cell.called]
    if order == "file":
        place = {key: at for at, key in enumerate(queue_file)}
        return sorted((cell for cell in kept if cell.key in place), key=lambda c: place[c.key])
    if order == "random":
        kept.sort(key=lambda cell: cell.key)
        random.Random(seed).shuffle(kept)
        return kept
    if order == "class" and class_index is not None:
        return sorted(kept, key=lambda c: (-c.cell.localization_scores[class_index], c.key))
    return sorted(kept, key=lambda cell: (-cell.doubt, cell.key))


def review_progress(
    cells: Mapping[CellKey, ReviewCell], current: Mapping[CellKey, Mapping[str, Decision]]
) -> ReviewProgress:
    """Count what is done, and how reviewers agree with the model and with each other.

    Decisions on cells that are not among the predictions are counted apart.
    """
    here = {key: of_cell for key, of_cell in current.items() if key in cells}
    settled = {key: settle_cell(of_cell.values()) for key, of_cell in here.items()}
    named = {key: set(labels) for key, labels in settled.items() if labels not in ("", BAD_MASK)}
    agreed = sum(labels == set(cells[key].called) for key, labels in named.items())
    several = [list(of_cell.values()) for of_cell in here.values() if len(of_cell) > 1]
    same = sum(len({(said.word, said.labels) for said in decisions}) == 1 for decisions in several)
    by_reviewer: dict[str, int] = {}
    for of_cell in here.values():
        for reviewer in of_cell:
            by_reviewer[reviewer] = by_reviewer.get(reviewer, 0) + 1
    return ReviewProgress(
        total=len(cells),
        done=len(here),
        bad_masks=sum(labels == BAD_MASK for labels in settled.values()),
        unsettled=sum(labels == "" for labels in settled.values()),
        elsewhere=len(current) - len(here),
        compared_with_model=len(named),
        agree_with_model=agreed,
        seen_by_several=len(several),
        reviewers_agree=same,
        by_reviewer=dict(sorted(by_reviewer.items())),
    )
