"""A COCO JSON split into training and validation files, or into k folds of both."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.coco.lines import CocoLines, ShownLines, without_id
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.read import find_images_root
from hpa_mmdet.coco.schema import build_info
from hpa_mmdet.coco.stratify import assign_folds
from hpa_mmdet.coco.writer import CocoWriter, open_writer
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import write_csv
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report
from hpa_mmdet.localizations import NAMES


def split(
    path: Path,
    *,
    val_share: float = 0.2,
    folds: int | None = None,
    grouping: Grouping | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Report:
    """Write `<stem>_train.json` and `<stem>_val.json`, or `<stem>_fold<k>_{train,val}.json`.

    Also `<stem>_split.csv` or `<stem>_folds.csv`, which says where each image went. Image ids stay; the same
    seed gives the same split.

    Args:
        path: a COCO JSON; read line by line if convert_coco wrote it.
        val_share: of the images that are for validation, between 0 and 1.
        folds: k folds instead, each validated once, counted from 1.
        grouping: images of one group stay on one side; None leaves each by itself. An
            image that the table lacks is an error; one whose cell is empty is a group.
        seed: decides ties.
        overwrite: replace files of an earlier split.

    Raises:
        InputError: the file or table cannot be read, a share or number of folds makes no
            sense, there are too few groups, a part would have no images, or files are in the
            way.
    """
    outs = _outputs(path, folds)
    table = path.with_name(f"{path.stem}_{'split' if folds is None else 'folds'}.csv")
    given = [path, None if grouping is None else grouping.table]
    outputs = OutputFiles("split_coco", inputs=given, overwrite=overwrite)
    for out in [*(out for pair in outs for out in pair), table]:
        outputs.claim(out)
    lines = ShownLines(path, "parted")
    images = [image for _, image in lines.images()]
    names = [image.hpa_id for image in images]
    groups = names if grouping is None else grouping.groups_of(names)
    label_sets = [image.image_labels for image in images]
    shares = _shares(val_share, folds)
    fold_of = assign_folds(label_sets, groups, shares, seed)
    _refuse_empty(path, fold_of, folds, val_share)
    report = Report("split_coco", done=len(images))
    reviewed = _write_files(lines, images, fold_of, outs, outputs)
    _write_table(outputs, table, names, groups, fold_of, folds)
    report.notes += _balance(label_sets, fold_of, shares, folds)
    if any(train + val for train, val in reviewed):
        report.notes += [
            f"{pair[0].name}: {train} annotations of reviewed cells; {pair[1].name}: {val}"
            for pair, (train, val) in zip(outs, reviewed, strict=True)
        ]
    return report


def _shares(val_share: float, folds: int | None) -> list[float]:
    if folds is not None:
        if folds < 2:
            raise InputError("--folds", folds, "2 or more", "correct it")
        return [1.0 / folds] * folds
    if not 0.0 < val_share < 1.0:
        raise InputError("--val-share", val_share, "between 0 and 1", "correct it")
    return [val_share, 1.0 - val_share]


def _refuse_empty(
    path: Path, fold_of: NDArray[np.intp], folds: int | None, val_share: float
) -> None:
    """Refuse a split that leaves a file without images: a model would be measured on nothing."""
    counts = np.bincount(fold_of, minlength=folds or 2)
    if counts.all():
        return
    empty = int(counts.argmin())
    if folds is not None:
        problem, remedy = f"no image is left for fold {empty + 1} of {folds}", "ask for fewer folds"
    else:
        part = ("validation", "training")[empty]
        problem = f"--val-share {val_share} of {len(fold_of)} images leaves none for {part}"
        remedy = f"give a {('larger', 'smaller')[empty]} --val-share, or smaller groups"
    raise InputError(path, problem=problem, remedy=remedy)


def _outputs(path: Path, folds: int | None) -> list[tuple[Path, Path]]:
    """Name the pairs of training and validation files; pair k is validated on fold k."""
    middles = [""] if folds is None else [f"_fold{number}" for number in range(1, folds + 1)]
    return [
        (
            path.with_name(f"{path.stem}{middle}_train.json"),
            path.with_name(f"{path.stem}{middle}_val.json"),
        )
        for middle in middles
    ]


def _write_files(
    lines: CocoLines,
    images: Sequence[CocoImage],
    fold_of: NDArray[np.intp],
    outs: Sequence[tuple[Path, Path]],
    outputs: OutputFiles,
) -> list[tuple[int, int]]:
    """Write all files; give the annotations of reviewed cells in each pair of them."""
    fold_of_image = dict(zip((i.image_id for i in images), fold_of.tolist(), strict=True))
    shapes_hw = {image.image_id: image.shape_hw for image in images}
    annotated = str(lines.info.get("annotated", "cells"))
    root = find_images_root(lines.info, lines.path)
    with ExitStack() as stack:
        pairs: list[list[CocoWriter]] = [
            [
                stack.enter_context(
                    open_writer(
                        stack.enter_context(outputs.writing(out)),
                        build_info(root, out, annotated),
                        lines.categories,
                    )
                )
                for out in pair
            ]
            for pair in outs
        ]
        for line, image in lines.images():
            for number, (train, val) in enumerate(pairs):
                writer = val if fold_of_image[image.image_id] == number else train
                writer.add_image(line.text)
        for line, image_id in lines.annotations(shapes_hw):
            text = without_id(line, image_id)
            for number, (train, val) in enumerate(pairs):
                writer = val if fold_of_image[image_id] == number else train
                writer.add_annotation(text)
        return [(train.reviewed_count, val.reviewed_count) for train, val in pairs]


def _write_table(
    outputs: OutputFiles,
    path: Path,
    names: Sequence[str],
    groups: Sequence[str],
    fold_of: NDArray[np.intp],
    folds: int | None,
) -> None:
    header = ("ID", "group", "part" if folds is None else "val_fold")
    parts = [("val", "train")[fold] if folds is None else fold + 1 for fold in fold_of.tolist()]
    with outputs.writing(path) as temporary:
        write_csv(temporary, header, zip(names, groups, parts, strict=True))


def _balance(
    label_sets: Sequence[Sequence[int]],
    fold_of: NDArray[np.intp],
    shares: Sequence[float],
    folds: int | None,
) -> list[str]:
    """Say how even each part came out, and which label strays most from its share."""
    has = np.zeros((len(label_sets), len(NAMES)), bool)
    for row, labels in enumerate(label_sets):
        has[row, list(labels)] = True
    notes = []
    for fold, share in enumerate(shares if folds is not None else shares[:1]):
        inside = fold_of == fold
        total, here = has.sum(axis=0), has[inside].sum(axis=0)
        off = np.where(total > 0, np.abs(here - share * total), 0)
        name = "val" if folds is None else f"fold {fold + 1}"
        note = f"{name}: {inside.sum()} of {len(inside)} images ({inside.mean():.1%})"
        if total.any():
            worst = int(off.argmax())
            note += f"; least even: {NAMES[worst]}, {here[worst]} of {total[worst]}"
        notes.append(note)
    return notes
