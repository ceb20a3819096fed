"""A synthetic data set on disk, in the contest's layout, its truth apart.

    OUT/train/<id>_{red,green,blue,yellow}.png     OUT/train.csv (ID,Label)
    OUT/test/<id>_...                              OUT/sample_submission.csv
    OUT/truth/{train,test}/masks/<id>_mask.png     nuclei/<id>_mask.png
    OUT/truth/{train,test}/cells.csv (ID,cell_id,cell_labels)  images.csv (ID,Label)

Per-cell truth is written under OUT/truth alone.
"""

import csv
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.io.submission import SubmissionRow, write_submission
from hpa_mmdet.jobs import Report, run_items
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.synth.image import SyntheticImage, render_image
from hpa_mmdet.synth.shares import LabelModel, LocalizationSet

SPLITS = ("train", "test")
# run-length matching only: on noise twice as fast as zlib level 1, and smaller
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
NOTICE = "README-SYNTHETIC.txt"
_NOTICE = """SYNTHETIC images.

Every picture in this folder was drawn by hpa-mmdet's generator (tools/synthesize.py) from a
random seed. None is a photograph and none shows a real cell, protein or antibody.
Per-cell truth lies in truth/ and is for scoring alone.

made by: {command}
"""


@dataclass(frozen=True)
class SyntheticItem:
    """One image to make: its split, its place in the split, its id."""

    split: str
    index: int
    image_id: str


@dataclass(frozen=True)
class Made:
    """What the tables need of an image that was written."""

    size_wh: tuple[int, int]
    image_labels: LocalizationSet
    localizations: dict[int, LocalizationSet]


ItemT = TypeVar("ItemT", bound=SyntheticItem)


def check_target(out: Path | None, images: int, test_images: int, *, overwrite: bool) -> None:
    """Check what is asked for before anything is drawn; clear away an older data set.

    Args:
        out: folder to write to.
        images: training images.
        test_images: test images.
        overwrite: whether an older synthetic data set there may go. It is known by its
            notice; files of other origin are never removed.

    Raises:
        InputError: no folder, one with files that may not go, or no images.
    """
    if out is None:
        raise InputError("OUT", "nothing", "a folder to write to", "name it")
    if min(images, test_images) < 0 or images + test_images == 0:
        raise InputError(
            "--images, --test-images", f"{images}, {test_images}", "one at least", "raise one"
        )
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise InputError(out, "files", "an empty folder", "remove it or say --overwrite")
    if not (out / NOTICE).is_file():
        raise InputError(
            out, f"files without {NOTICE}", "an older synthetic data set", "name another folder"
        )
    for folder in ("train", "test", "truth"):
        shutil.rmtree(out / folder, ignore_errors=True)
    for table in ("train.csv", "sample_submission.csv", "train_groups.csv"):
        (out / table).unlink(missing_ok=True)


def plan_items(seed: int, images: int, test_images: int) -> list[SyntheticItem]:
    """List the images of both splits; their ids look like the contest's and follow the seed."""
    return [
        SyntheticItem(split, index, make_image_id(seed, place, index))
        for place, (split, number) in enumerate(zip(SPLITS, (images, test_images), strict=True))
        for index in range(number)
    ]


def render_item(
    item: SyntheticItem, seed: int, shape_hw: tuple[int, int], pixel_um: float, labels: LabelModel
) -> SyntheticImage:
    """Draw one image of a data set; it depends on the seed, the split and the index alone."""
    return render_image([seed, SPLITS.index(item.split), item.index], shape_hw, pixel_um, labels)


def write_dataset(
    out: Path,
    items: Sequence[ItemT],
    render: Callable[[ItemT], SyntheticImage],
    report: Report,
    workers: int,
    command: str,
) -> None:
    """Make all images and tables.

    Args:
        out: folder to write to.
        items: what to make.
        render: draws an item; picklable.
        report: filled as the run goes on.
        workers: processes; their number changes nothing in what is written.
        command: told in the notice.
    """
    made = list(
        run_items(
            partial(_make, out=out, render=render),
            items,
            report,
            item_id=lambda item: item.image_id,
            workers=workers,
            description="synthesize",
        )
    )
    for split in SPLITS:
        part = [(item.image_id, written) for item, written in made if item.split == split]
        if not part:
            continue
        rows = [
            (image_id, cell_id, bars(shown))
            for image_id, written in part
            for cell_id, shown in sorted(written.localizations.items())
        ]
        _write_csv(out / "truth" / split / "cells.csv", ("ID", "cell_id", "cell_labels"), rows)
        labels = [(image_id, bars(written.image_labels)) for image_id, written in part]
        _write_csv(out / "truth" / split / "images.csv", ("ID", "Label"), labels)
        if split == "train":
            _write_csv(out / "train.csv", ("ID", "Label"), labels)
        if split == "test":
            empty = [SubmissionRow(image_id, *written.size_wh, []) for image_id, written in part]
            write_submission(out / "sample_submission.csv", empty)
    with atomic_path(out / NOTICE) as temporary:
        temporary.write_text(_NOTICE.format(command=command), encoding="utf-8")


def bars(labels: Iterable[int]) -> str:
    """Write a label set as the contest does.

    Examples:
        >>> bars({16, 0})
        '0|16'
    """
    return "|".join(map(str, sorted(labels or {NEGATIVE})))


def _make(item: ItemT, out: Path, render: Callable[[ItemT], SyntheticImage]) -> Made:
    image = render(item)
    for number, channel in enumerate(CHANNELS):
        path = out / item.split / f"{item.image_id}_{channel}.png"
        plane = np.ascontiguousarray(image.channels[..., number])
        with atomic_path(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", plane, _PNG)[1].tobytes())
    truth = out / "truth" / item.split
    write_label_image(truth / "masks" / f"{item.image_id}_mask.png", image.cells)
    write_label_image(truth / "nuclei" / f"{item.image_id}_mask.png", image.nuclei)
    height, width = image.cells.shape
    return Made((width, height), image.image_labels, dict(image.localizations))


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def make_image_id(seed: int, split: int, index: int) -> str:
    """Make a name that looks like the contest's and follows from the seed."""
    words = np.random.default_rng([seed, split, index, 1]).bytes(16)
    return str(uuid.UUID(bytes=words, version=4))
