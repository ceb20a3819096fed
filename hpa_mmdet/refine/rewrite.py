"""A COCO JSON with other labels of its cells, and a table of what became of each.

N: cells of an image; K = 19 localizations.
"""

import copy
import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.lines import load_json
from hpa_mmdet.coco.schema import Json, to_line
from hpa_mmdet.coco.writer import open_writer
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import NAMES, NUM_LOCALIZATIONS

_LEAST_PROB = 0.02  # soft labels below it are left out of the file


@dataclass(frozen=True)
class Change:
    """How often one class was taken from cells or given to them.

    Args:
        hpa_index: the class.
        before: cells that had it.
        after: cells that have it.
        removed: cells that lost it.
        added: cells that gained it.
        removed_right: of these, cells that truly lack it; None where truth is unknown.
        added_right: of these, cells that truly show it.
    """

    hpa_index: int
    before: int
    after: int
    removed: int
    added: int
    removed_right: int | None = None
    added_right: int | None = None


def rewrite_labels(
    source: Path, out: Path, labels_of: Mapping[tuple[int, int], NDArray[np.float64]], soft: bool
) -> None:
    """Write the JSON again with other labels of its cells; all else stays.

    Args:
        source: the JSON that was refined.
        out: the JSON to write.
        labels_of: for (image_id, cell_id) the (K,) labels, 0..1.
        soft: write `category_probs` beside `category_ids`.

    Raises:
        InputError: the file has several annotations of one cell.
    """
    content = load_json(source)
    seen: set[tuple[int, int]] = set()
    info = {**content.get("info", {}), "refined_from": source.name}
    if root := info.get("images_root"):
        info["images_root"] = _moved_root(source, out, str(root))
    with open_writer(out, info, content["categories"]) as writer:
        for image in content["images"]:
            writer.add_image(to_line(image))
        for annotation in content["annotations"]:
            cell = (annotation["image_id"], annotation.get("cell_id", annotation["id"]))
            if cell in seen:
                raise InputError(
                    f"{source}, annotation {annotation['id']}",
                    f"a second annotation of cell {cell[1]}",
                    "one per cell",
                    "convert with --layout per-cell",
                )
            seen.add(cell)
            writer.add_annotation(to_line(_relabelled(annotation, labels_of.get(cell), soft)))


def _relabelled(annotation: Json, labels: NDArray[np.float64] | None, soft: bool) -> Json:
    entry = copy.copy(annotation)
    del entry["id"]
    if labels is None:
        return entry
    kept = np.flatnonzero(labels >= (_LEAST_PROB if soft else 0.5))
    if not len(kept):
        kept = np.array([labels.argmax()])
    likeliest = kept[labels[kept].argmax()] if soft else kept[0]
    entry["category_id"] = int(likeliest) + 1
    entry["category_ids"] = [int(k) + 1 for k in kept]
    entry.pop("category_probs", None)
    if soft:
        entry["category_probs"] = [round(float(labels[k]), 3) for k in kept]
    return entry


def _moved_root(source: Path, out: Path, root: str) -> str:
    if Path(root).is_absolute():
        return root
    target = (source.parent / root).resolve()
    return Path(os.path.relpath(target, out.parent.resolve())).as_posix()


def count_changes(
    before: NDArray[np.bool_], after: NDArray[np.bool_], truth: NDArray[np.bool_] | None = None
) -> list[Change]:
    """Compare (N, K) labels, class by class.

    Args:
        before: what the cells had.
        after: what they have.
        truth: what they show, where that is known.
    """
    removed, added = before & ~after, after & ~before
    return [
        Change(
            k,
            int(before[:, k].sum()),
            int(after[:, k].sum()),
            int(removed[:, k].sum()),
            int(added[:, k].sum()),
            None if truth is None else int((removed & ~truth)[:, k].sum()),
            None if truth is None else int((added & truth)[:, k].sum()),
        )
        for k in range(NUM_LOCALIZATIONS)
    ]


def write_changes(path: Path, changes: Sequence[Change]) -> None:
    """Write the table of changes as CSV, one row per class."""
    names = [name for name in Change.__dataclass_fields__ if name != "hpa_index"]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["hpa_index", "name", *names])
        for each in changes:
            values = [getattr(each, name) for name in names]
            known = ["" if value is None else value for value in values]
            table.writerow([each.hpa_index, NAMES[each.hpa_index], *known])
