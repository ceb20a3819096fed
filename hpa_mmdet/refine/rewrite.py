"""A COCO JSON rewritten with other cell labels, and the table of what changed.

N: cells of an image; K = 19 localizations.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.lines import CocoLines, Line, without_id
from hpa_mmdet.coco.schema import Json, build_categories, to_line
from hpa_mmdet.coco.writer import open_writer
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import write_csv
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
    source: Path, out: Path, labels_of: Mapping[int, NDArray[np.float64]], soft: bool
) -> None:
    """Write the JSON again with other labels of its cells; all else stays.

    Args:
        source: the JSON that was refined.
        out: the JSON to write.
        labels_of: for the id of a cell's annotation its (K,) labels, 0..1; others keep theirs.
        soft: write `category_probs` beside `category_ids`.

    Raises:
        InputError: the file has several annotations of one cell.
    """
    lines = CocoLines(source)
    info = {**lines.info, "refined_from": source.name}
    if root := info.get("images_root"):
        info["images_root"] = _moved_root(source, out, str(root))
    shapes_hw: dict[int, tuple[int, int]] = {}
    seen: set[object] = set()
    with open_writer(out, info, build_categories()) as writer:
        for line, image in lines.images():
            shapes_hw[image.image_id] = image.shape_hw
            writer.add_image(line.text)
        for line, image_id in lines.annotations(shapes_hw):
            _check_once(line.entry, image_id, seen, source)
            classes = list(lines.parser.read_classes(line.entry))
            entry = _relabelled(line.entry, classes, labels_of.get(line.entry["id"]), soft)
            writer.add_annotation(without_id(Line(to_line(entry), entry), image_id))


def _check_once(annotation: Json, image_id: int, seen: set[object], source: Path) -> None:
    """See that a cell has one annotation, and an annotation its own id."""
    cell = annotation.get("cell_id") or str(annotation["segmentation"])
    for key in (annotation["id"], (image_id, cell)):
        if key in seen:
            raise InputError(
                f"{source}, annotation {annotation['id']}",
                problem="its id or its cell stands in another annotation too",
                remedy="convert with --layout per-cell",
            )
        seen.add(key)


def _relabelled(
    annotation: Json, classes: Sequence[int], labels: NDArray[np.float64] | None, soft: bool
) -> Json:
    """Give the entry with new labels, or with its own in the numbers of our categories."""
    if labels is None:
        return {**annotation, **_category_keys(classes[0], classes)}
    kept = np.flatnonzero(labels >= (_LEAST_PROB if soft else 0.5))
    if not len(kept):
        kept = np.array([labels.argmax()])
    likeliest = int(kept[labels[kept].argmax()] if soft else kept[0])
    entry = {**annotation, **_category_keys(likeliest, kept.tolist())}
    entry.pop("category_probs", None)
    if soft:
        entry["category_probs"] = [round(float(labels[k]), 3) for k in kept]
    return entry


def _category_keys(first: int, hpa_indices: Sequence[int]) -> Json:
    return {"category_id": first + 1, "category_ids": [k + 1 for k in hpa_indices]}


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
    rows = [
        [change.hpa_index, NAMES[change.hpa_index], *(getattr(change, name) for name in names)]
        for change in changes
    ]
    write_csv(path, ["hpa_index", "name", *names], rows)
